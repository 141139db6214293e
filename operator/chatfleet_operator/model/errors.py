"""What can go wrong at the API server, named by what the caller should do."""

MAX_MESSAGE = 256
"""Longest text taken over from a server, so that logs and conditions stay readable and nothing large leaks."""

NO_KIND = "the cluster has no kind"
"""How a refusal begins that is about a kind, not about an object: its CustomResourceDefinition is not installed."""


class ClusterError(Exception):
    """The API server did not do what was asked."""


class Retry(ClusterError):  # noqa: N818  # named by what the caller should do
    """Try again later: the cause passes by itself (network, overload, conflict)."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(cut(message))
        self.after = after


class Refused(ClusterError):  # noqa: N818  # named by what happened to the caller
    """Trying again changes nothing until somebody changes something; the text is the server's own."""

    def __init__(self, message: str) -> None:
        super().__init__(cut(message))


def cut(message: str) -> str:
    """Return `message` in one line of at most `MAX_MESSAGE` characters."""
    line = " ".join(message.split())
    return line if len(line) <= MAX_MESSAGE else line[: MAX_MESSAGE - 1] + "…"
