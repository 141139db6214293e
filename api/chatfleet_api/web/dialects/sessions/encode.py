"""The events of a session: those of the native dialect, with the session's id in the first one."""

import msgspec
from typing_extensions import override

from chatfleet_api.domain.events import Start
from chatfleet_api.web.dialects.native.encode import EventEncoder, Public


class SessionStart(msgspec.Struct, frozen=True, tag_field="type", tag="start"):
    """The answer begins; `session_id` is what continues the session."""

    session_id: str | None
    run: str
    model: str
    created: int
    conversation: str | None
    message: str | None


class SessionEncoder(EventEncoder):
    """Encodes one run as `EventEncoder` does, and names the session."""

    @override
    def public(self, event: Public) -> msgspec.Struct:
        if isinstance(event, Start):
            return SessionStart(
                event.conversation, event.run, event.model, event.created, event.conversation, event.message
            )
        return super().public(event)
