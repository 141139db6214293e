"""What the name of a scripted model requests. Pure."""

import re
from typing import Final, NamedTuple

from chatfleet_api.domain.errors import ChatError, Code

_NAME: Final = re.compile(
    r"(?P<answer>echo|story|tools|reason|schema|assistant|refuse|router|instructions|count-(?P<count>\d{1,7}))"
    r"(:(?P<code>[a-z_]+))?(/(?P<delay>\d{1,3}))?(@(?P<rate>\d{1,6}))?"
)
_HELP: Final = (
    "A scripted model is named echo, story, count-N, tools, reason, schema, assistant, refuse, router or instructions, "
    "then :CODE to fail, /SECONDS to begin later and @RATE for tokens a second."
)


class Script(NamedTuple):
    """A parsed name."""

    answer: str
    last: int
    """Where `count` ends."""
    failure: Code | None
    """How it fails where the answer ends."""
    delay: int
    """Seconds before the answer begins."""
    rate: int | None
    """Tokens a second."""


def script_of(model: str) -> Script:
    """Parse the name; raise `ChatError(MODEL_NOT_FOUND)` when it is no script."""
    name = _NAME.fullmatch(model)
    if name is None or name["code"] not in (None, *Code):
        raise ChatError(Code.MODEL_NOT_FOUND, _HELP, param="model")
    return Script(
        answer="count" if name["count"] else name["answer"],
        last=int(name["count"] or 0),
        failure=Code(name["code"]) if name["code"] else None,
        delay=int(name["delay"] or 0),
        rate=int(name["rate"] or 0) or None,
    )
