"""What every log line of a request, or of a run, has beside its message: ids, and never content.

A request's task has its fields; a task that it starts sees the same ones, until it branches.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

REQUEST: Final = "request_id"
TENANT: Final = "tenant"
RUN: Final = "run_id"
CONVERSATION: Final = "conversation_id"

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_FIELDS: ContextVar[dict[str, str] | None] = ContextVar("log_fields", default=None)


def log_context() -> Mapping[str, str]:
    """Return the fields of this task."""
    return _FIELDS.get() or _NOTHING


def begin(request_id: str) -> None:
    """Begin a request: fields of an earlier one are gone."""
    _FIELDS.set({REQUEST: request_id})


def note(**fields: str) -> None:
    """Add fields to this request, if there is one: its access log has them, too."""
    if (known := _FIELDS.get()) is not None:
        known.update(fields)


def branch(**fields: str) -> None:
    """Go on with fields of this task's own: what it adds is not added to the request that has started it."""
    _FIELDS.set({**log_context(), **fields})
