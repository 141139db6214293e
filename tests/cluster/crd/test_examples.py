"""Every example is one that the API server takes as it is, and that a reader is led through."""

from pathlib import Path

import pytest
import yaml

from harness.kube.chatdeployments import ChatDeployments

EXAMPLES = sorted(path for path in (Path(__file__).parents[3] / "examples").iterdir() if path.is_dir())


def test_the_examples_are_numbered_without_a_gap() -> None:
    assert [path.name[:3] for path in EXAMPLES] == [f"{i:02}-" for i in range(1, len(EXAMPLES) + 1)]


@pytest.mark.feature(56)
@pytest.mark.parametrize("example", EXAMPLES, ids=[path.name for path in EXAMPLES])
def test_an_example_is_taken_and_its_readme_names_it(chatdeployments: ChatDeployments, example: Path) -> None:
    (document,) = yaml.safe_load_all((example / "chatdeployment.yaml").read_text())
    chatdeployments.try_create(document)
    told = (example / "README.md").read_text()
    assert f"kubectl apply -f examples/{example.name}/chatdeployment.yaml" in told
    assert f"chatdeployment/{document['metadata']['name']} " in told
    assert f"({example.name})" in (example.parent / "README.md").read_text()
