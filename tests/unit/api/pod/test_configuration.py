"""The runtime configuration: read at the start, and taken again while the pod runs."""

import asyncio
from pathlib import Path

import pytest

from chatfleet_api.pod.configuration import Configuration, ConfigurationError, load, local
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_api.providers.vendors.scripted.script import script_of
from chatfleet_contract.runtime import RuntimeConfig, digest_of
from chatfleet_contract.spec import Streaming
from harness.upstream.catalogue import registry_of

BEFORE = local()
AFTER = BEFORE.model_copy(update={"streaming": Streaming(max_streams_per_pod=7)})


class Built:
    """Builds catalogues, remembers of what, or refuses to."""

    def __init__(self) -> None:
        self.configs: list[RuntimeConfig] = []
        self.refusal: str | None = None
        self._registry = registry_of(Meter("tests"))

    def __call__(self, config: RuntimeConfig) -> Catalogue:
        if self.refusal:
            raise ValueError(self.refusal)
        self.configs.append(config)
        return self._registry.catalogue(config)


def serving() -> tuple[Configuration, Built]:
    """Return a configuration that serves `BEFORE`, and what builds its catalogues."""
    built = Built()
    return Configuration(BEFORE, build=built), built


def put(file: Path, text: str) -> None:
    file.write_text(text)


def take_away(file: Path) -> str:
    text = file.read_text()
    file.unlink()
    return text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "runtime.json"
    path.write_text(BEFORE.render())
    return path


def test_what_the_operator_renders_is_what_the_pod_serves(file: Path) -> None:
    assert load(file) == BEFORE
    assert load(file).digest() == BEFORE.digest()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{", "Invalid JSON"),
        ("{}", "deployment: Field required"),
        (BEFORE.render().replace("story@20", ""), "models.0.model"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_by_field(file: Path, text: str, wrong: str) -> None:
    put(file, text)
    with pytest.raises(ConfigurationError, match=f"{file} is not valid: .*{wrong}"):
        load(file)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match="/nowhere cannot be read"):
        load(Path("/nowhere"))


def test_a_file_of_another_version_is_known_by_its_own_text(file: Path) -> None:
    configuration, built = serving()
    newer = BEFORE.render().replace("{", '{"unheardOf":1,', 1)
    put(file, newer)

    configuration.reload(file)

    assert configuration.digest == digest_of(newer)
    assert built.configs == [BEFORE]


def test_a_changed_file_is_served_once(file: Path) -> None:
    configuration, built = serving()
    for _ in range(2):
        configuration.reload(file)
    put(file, AFTER.render())
    for _ in range(2):
        configuration.reload(file)
    assert built.configs == [BEFORE, AFTER]
    assert configuration.current == AFTER
    assert configuration.digest == AFTER.digest()


def test_a_bad_file_changes_nothing_and_is_told_until_it_is_mended(file: Path) -> None:
    configuration, built = serving()
    put(file, "{")
    configuration.reload(file)
    assert "is not valid" in str(configuration.error)
    assert configuration.current == BEFORE
    put(file, BEFORE.render())
    configuration.reload(file)
    assert configuration.error is None
    assert built.configs == [BEFORE]


def test_a_configuration_that_cannot_be_applied_is_not_served(file: Path) -> None:
    configuration, built = serving()
    catalogue, built.refusal = configuration.catalogue, "no such provider"
    put(file, AFTER.render())
    configuration.reload(file)
    assert configuration.error == "no such provider"
    assert (configuration.current, configuration.catalogue) == (BEFORE, catalogue)
    assert configuration.digest == BEFORE.digest()


def test_a_file_that_goes_and_comes_back_is_no_lasting_error(file: Path) -> None:
    configuration, _ = serving()
    configuration.reload(file)
    text = take_away(file)
    configuration.reload(file)
    assert "cannot be read" in str(configuration.error)
    put(file, text)
    configuration.reload(file)
    assert configuration.error is None


@pytest.mark.looptime
async def test_the_file_is_watched_through_the_links_that_the_kubelet_swaps(tmp_path: Path) -> None:
    for name, config in (("one", BEFORE), ("two", AFTER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "runtime.json").write_text(config.render())
    data = tmp_path / "..data"
    data.symlink_to("one")
    file = tmp_path / "runtime.json"
    file.symlink_to("..data/runtime.json")
    configuration, built = serving()
    watch = asyncio.ensure_future(configuration.watch(file))
    await asyncio.sleep(1.5)
    swapped = tmp_path / "..data_tmp"
    swapped.symlink_to("two")
    swapped.replace(data)
    await asyncio.sleep(1.5)
    watch.cancel()
    assert built.configs == [BEFORE, AFTER]


def test_each_model_of_a_first_look_is_a_script_and_documented() -> None:
    guide = (Path(__file__).parents[4] / "docs/guide/providers.md").read_text()
    for model in local().models:
        script_of(model.model)
        assert f"`{model.name}`" in guide


def test_models_that_fail_have_a_provider_of_their_own() -> None:
    providers = {model.provider: {script_of(model.model).failure is not None} for model in local().models}
    assert {model.provider for model in local().models if script_of(model.model).failure} == {"failing"}
    assert providers == {"scripted": {False}, "failing": {True}}
