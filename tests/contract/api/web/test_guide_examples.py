"""The examples in the guide's pages of the APIs run as they are, with the official SDKs, against a pod."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.pods.api_process import ApiProcess, api_process, scripted

ROOT = Path(__file__).parents[4]
OPERATIONS = ROOT / "docs/operations"
API_PAGES = sorted((ROOT / "docs/guide").glob("api-*.md"))
VENDORS_PAGES = [page for page in API_PAGES if page.stem != "api-conversations"]
PAGES = [
    *API_PAGES,
    *(ROOT / "docs/guide" / name for name in ("ai-sdk.md", "durable-streams.md", "sessions.md")),
    OPERATIONS / "test-routes.md",
]
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)
SERVICE = "http://support.shop.svc"


@pytest.fixture(scope="module")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    given = scripted("count")
    model = given.models[0].model_copy(update={"name": "default", "model": "echo"})
    tested = given.observability.model_copy(update={"test_routes": True})
    config = given.model_copy(update={"models": (model,), "observability": tested})
    with api_process(tmp_path_factory.mktemp("guide"), config) as api:
        yield api


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_examples_of_a_page_run_and_print_an_answer(page: Path, pod: ApiProcess) -> None:
    examples = EXAMPLE.findall(page.read_text())
    assert examples
    for example in examples:
        assert SERVICE in example
        program = example.replace(SERVICE, pod.url)
        done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip(), "nothing was printed"


@pytest.mark.parametrize("page", VENDORS_PAGES, ids=lambda page: page.stem)
def test_a_page_of_a_vendors_api_begins_with_its_differences(page: Path) -> None:
    first = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)[0]
    assert re.fullmatch(r"Differences from (OpenAI|Anthropic)'s API", first)
