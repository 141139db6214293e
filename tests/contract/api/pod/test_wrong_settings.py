"""A pod with settings that cannot work: it starts, serves what it can, and reports the rest."""

from pathlib import Path

from chatfleet_contract.runtime import RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model, Retries
from harness.clients.sdk import HI
from harness.pods.api_process import api_process, fetch, scripted
from harness.polling import eventually


def test_a_pod_starts_with_a_malformed_url_of_redis_and_reports_it_until_it_is_corrected(
    tmp_path: Path, redis_url: str
) -> None:
    url_file = tmp_path / "url"
    url_file.write_text("http://:secret@nowhere")
    with api_process(tmp_path, scripted().model_copy(update={"redis_url_file": str(url_file)})) as api:
        assert fetch(f"{api.url}/v1/chat/completions", {"model": "echo", "messages": [HI]}).status == 200
        eventually(lambda: api.health("/health").json["redis"]["state"] == "down")
        report = api.health("/health").json
        assert report["redisUrlError"].startswith("the URL of Redis must be redis://")
        assert "secret" not in str(report)
        url_file.write_text(redis_url)
        eventually(lambda: api.health("/health").json["redis"] == {"state": "up"})
        eventually(lambda: "redisUrlError" not in api.health("/health").json)
        url_file.write_text("nonsense")
        eventually(lambda: "redisUrlError" in api.health("/health").json)
        assert api.health("/health").json["redis"] == {"state": "up"}


UNUSABLE = ("https://llm.example.com:99999/v1", "https://b\u00fccher.example/v1", "https://llm..example.com/v1")


def test_providers_whose_settings_cannot_work_do_not_hide_the_others(tmp_path: Path) -> None:
    config = scripted("echo")
    wrong = [
        RuntimeProvider(name=f"wrong-{n}", type=ProviderType.OPENAI_COMPATIBLE, base_url=url, retries=Retries(max=0))
        for n, url in enumerate(UNUSABLE)
    ]
    models = [Model(name=provider.name, provider=provider.name, model="m") for provider in wrong]
    both = config.model_copy(update={"providers": (*wrong, *config.providers), "models": (*config.models, *models)})
    with api_process(tmp_path, both) as api:
        for model in models:
            refused = fetch(f"{api.url}/v1/chat/completions", {"model": model.name, "messages": [HI]})
            assert (refused.status, refused.json["error"]["code"]) == (502, "upstream_unavailable")
        eventually(lambda: api.health("/health").json["upstreams"])
        upstreams = api.health("/health").json["upstreams"]
        assert upstreams["scripted"] == {"state": "up"}
        for provider in wrong:
            assert upstreams[provider.name]["state"] == "down"
            assert "UnusableURLError" in upstreams[provider.name]["message"]
