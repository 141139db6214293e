"""The models of the catalogue as Anthropic lists them (`anthropic` 2.14, `types/model_info.py`)."""

from collections.abc import Sequence
from typing import Any, Final

_UNKNOWN: Final = "1970-01-01T00:00:00Z"
"""When the vendor released a model is not known here: the vendor's own value for that."""


def model_info(name: str) -> dict[str, Any]:
    """Return one model."""
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": _UNKNOWN,
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "capabilities": None,
        "max_input_tokens": None,
        "max_tokens": None,
    }


def model_list(names: Sequence[str]) -> dict[str, Any]:
    """Return all models, in one page."""
    first, last = (names[0], names[-1]) if names else (None, None)
    return {"data": [model_info(name) for name in names], "has_more": False, "first_id": first, "last_id": last}
