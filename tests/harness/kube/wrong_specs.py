"""The table of wrong ChatDeployments (`wrong_specs.yaml`): what is wrong in each, and what becomes of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from typing_extensions import override

from chatfleet_contract import names
from harness.kube.chatdeployments import Document

TABLE: Final = Path(__file__).with_name("wrong_specs.yaml")
REDIS: Final = {"urlSecretRef": {"name": "redis", "key": "url"}}
"""A Redis of one's own, so that what is accepted makes few objects."""
VALID: Final[Mapping[str, Any]] = {
    "replicas": 1,
    "providers": [{"name": "script", "type": "scripted"}],
    "models": [{"name": "default", "provider": "script", "model": "echo"}],
    "redis": REDIS,
}


@dataclass(frozen=True)
class WrongSpec:
    """One row."""

    kind: str
    name: str
    parts: Document
    """Parts of the spec, or metadata, that replace those of a valid ChatDeployment; None removes one."""
    words: tuple[str, ...]
    refused: str = ""
    """The field that the API server names."""
    condition: tuple[str, str] | None = None
    """Type and reason; None: it is refused."""
    beside: Document | None = None
    """The parts of another ChatDeployment that exists already."""

    @override
    def __str__(self) -> str:
        return f"{self.kind}: {self.name}"

    def document(self, name: str) -> Document:
        """Return the wrong ChatDeployment; it is called `name` unless its name is what is wrong."""
        return document(self.parts, name)


def document(parts: Document, name: str) -> Document:
    """Return a valid ChatDeployment with `parts` replaced."""
    metadata = {"name": name, **parts.get("metadata", {})}
    spec = {**VALID, **{field: value for field, value in parts.items() if field != "metadata"}}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {field: value for field, value in metadata.items() if value is not None},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }


def wrong_specs() -> Iterator[WrongSpec]:
    """Yield the rows of the table."""
    for kind, rows in yaml.safe_load(TABLE.read_text()).items():
        for row in rows:
            kind_of_condition, _, reason = row.get("condition", "").partition(" ")
            yield WrongSpec(
                kind=kind,
                name=row["name"],
                parts=row["with"],
                words=tuple(row["words"]),
                refused=row.get("refused", ""),
                condition=(kind_of_condition, reason) if reason else None,
                beside=row.get("beside"),
            )
