"""A request whose input is too long for its model, without its oldest turns. Pure."""

from msgspec.structs import replace

from chatfleet_api.domain.request import ChatRequest

_INSTRUCTIONS = ("system", "developer")


def truncated(request: ChatRequest) -> ChatRequest | None:
    """Return `request` without about the older half of its messages; None when it may not be, or has but one turn.

    Instructions at the beginning stay. What follows them begins with the user, so that no result of a tool stands
    without its call.
    """
    if not request.truncates:
        return None
    messages = request.messages
    begins = next((at for at, each in enumerate(messages) if each.role not in _INSTRUCTIONS), len(messages))
    turns = [at for at, each in enumerate(messages) if each.role == "user" and at > begins]
    if not turns:
        return None
    middle = begins + (len(messages) - begins + 1) // 2
    kept = next((at for at in turns if at >= middle), turns[-1])
    return replace(request, messages=(*messages[:begins], *messages[kept:]))
