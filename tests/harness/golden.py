"""Golden files: text that a person can read, compared byte by byte."""

import difflib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from chatfleet_contract import names
from chatfleet_operator.model.values import Manifest

RENEW = os.environ.get("RENEW_GOLDEN")
"""Set to write the files anew; read the difference before it is kept."""


COMMAND: Final = "RENEW_GOLDEN=1 .venv/bin/pytest tests/unit/operator/children"


def expect(text: str, file: Path) -> None:
    """Assert that `text` is what `file` holds."""
    if RENEW:
        file.write_text(text)
    golden = file.read_text() if file.exists() else ""
    if text != golden:
        difference = "".join(
            difflib.unified_diff(golden.splitlines(keepends=True), text.splitlines(keepends=True), "file", "built")
        )
        raise AssertionError(f"{file} differs from what is built. If that is intended: {COMMAND}\n{difference}")


HASHES = frozenset(
    {
        names.ANNOTATION_LAST_APPLIED_HASH,
        names.ANNOTATION_TEMPLATE_INPUTS_HASH,
        names.ANNOTATION_LAST_APPLIED_TEMPLATE,  # a copy of the pod template, which is in the manifest already
    }
)
"""Annotations that change with every field beside them: two people could not add a field in parallel."""


def readable(manifests: Iterable[Manifest]) -> str:
    """Return `manifests` as YAML, without hashes, and with JSON documents in them as nested YAML."""
    return yaml.safe_dump_all(map(_plain, manifests), sort_keys=False, width=120)


def readable_by_name(manifests: Mapping[str, Manifest]) -> str:
    """Return `manifests` as one document of YAML, likewise."""
    return yaml.safe_dump({name: _plain(each) for name, each in manifests.items()}, sort_keys=False, width=120)


def _plain(manifest: Manifest) -> Manifest:
    plain: Manifest = _nested(_without_hashes(manifest))
    return plain


def _without_hashes(manifest: Manifest) -> Manifest:
    metadata = dict(manifest["metadata"])
    annotations = {key: text for key, text in metadata.pop("annotations", {}).items() if key not in HASHES}
    return {**manifest, "metadata": {**metadata, **({"annotations": annotations} if annotations else {})}}


def _nested(value: Any) -> Any:  # noqa: ANN401  # JSON
    if isinstance(value, dict):
        return {key: _nested(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_nested(each) for each in value]
    if isinstance(value, str) and value.startswith("{"):
        return json.loads(value)
    return value
