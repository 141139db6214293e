"""Judges that others wrote, against the API as a process with a scripted model: all their checks pass."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.pods.api_process import ApiProcess, api_process

MODEL = "assistant-gpt-5-claude-sonnet-4"
"""llm-comply skips its checks of reasoning unless the name has that of a model that reasons."""
SECONDS = 60
ANTHROPIC = ("--auth-header", "x-api-key", "--no-bearer", "--header", "anthropic-version:2023-06-01")
CHECKS = {"openai-chat": 9, "anthropic": 9, "open-responses": 13}
"""Checks of llm-comply 0.5, by the format of the API."""


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    config = RuntimeConfig(
        deployment="support",
        namespace="shop",
        providers=(RuntimeProvider(name="scripted", type=ProviderType.SCRIPTED),),
        models=(Model(name=MODEL, provider="scripted", model="assistant"),),
    )
    with api_process(tmp_path_factory.mktemp("api"), config) as running:
        yield running


def judged(api: ApiProcess, name: str) -> list[dict[str, Any]]:
    """Return the verdicts of llm-comply for one format."""
    target = ("--base-url", f"{api.url}/v1", "--api-key", "any", "--model", MODEL)
    command = (sys.executable, "-m", "llm_comply.cli", "--json", "--format", name, *target)
    more = ANTHROPIC if name == "anthropic" else ()
    done = subprocess.run((*command, *more), capture_output=True, text=True, timeout=SECONDS, check=False)
    results: list[dict[str, Any]] = json.loads(done.stdout)["results"]
    return results


@pytest.mark.parametrize("name", CHECKS)
def test_llm_comply_finds_no_fault(api: ApiProcess, name: str) -> None:
    verdicts = judged(api, name)
    assert [(each["id"], each["status"], each["errors"]) for each in verdicts if each["status"] != "passed"] == []
    assert len(verdicts) == CHECKS[name]
    assert [(each["id"], each["warnings"]) for each in verdicts if each.get("warnings")] == []
