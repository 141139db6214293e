"""Golden files: text that a person can read, compared byte by byte."""

import os
from collections.abc import Iterable
from pathlib import Path

import yaml

from chatfleet_contract import names
from chatfleet_operator.model.values import Manifest

RENEW = os.environ.get("RENEW_GOLDEN")
"""Set to write the files anew; read the difference before it is kept."""


def expect(text: str, file: Path) -> None:
    """Assert that `text` is what `file` holds."""
    if RENEW:
        file.write_text(text)
    assert text == file.read_text()


def readable(manifests: Iterable[Manifest]) -> str:
    """Return `manifests` as YAML, without the copy of the pod template on a workload: it stands there already."""
    return yaml.safe_dump_all(map(_without_copy, manifests), sort_keys=False, width=120)


def _without_copy(manifest: Manifest) -> Manifest:
    metadata = manifest["metadata"]
    annotations = {
        key: text for key, text in metadata["annotations"].items() if key != names.ANNOTATION_LAST_APPLIED_TEMPLATE
    }
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}
