"""The models of the catalogue as Anthropic lists them (`anthropic` 2.14, `types/model_info.py`)."""

from collections.abc import Sequence
from typing import Any, Final

_UNKNOWN: Final = "1970-01-01T00:00:00Z"
"""When the vendor released a model is not known here: the vendor's own value for that."""


def model_info(name: str, retires: str | None = None) -> dict[str, Any]:
    """Return one model; it retires on a day, if one is known, and is deprecated then."""
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": _UNKNOWN,
        "lifecycle": "active" if retires is None else "deprecated",
        "deprecated_at": None,
        "retires_at": None if retires is None else f"{retires}T00:00:00Z",
        "line": None,
        "capabilities": None,
        "max_input_tokens": None,
        "max_tokens": None,
    }


def model_list(models: Sequence[tuple[str, str | None]]) -> dict[str, Any]:
    """Return all models, each with the day on which it retires, in one page."""
    first, last = (models[0][0], models[-1][0]) if models else (None, None)
    return {"data": [model_info(*model) for model in models], "has_more": False, "first_id": first, "last_id": last}
