"""The error for a reader whose place in a run is lost."""

from chatfleet_api.domain.errors import ChatError, Code


def position_lost() -> ChatError:
    """Return the error for a reader whose last event is beyond the log: the events after it were lost with Redis."""
    return ChatError(Code.NOT_FOUND, "The events after this position are no longer available.")
