"""Parameters of which only some values are supported: those that request what is done anyway. `null` always is."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from chatfleet_api.domain.errors import ChatError, Code


class Supported(NamedTuple):
    """A parameter and the values of it that change nothing; any other value is rejected with the remedy."""

    param: str
    """Its name; one within another is written with a dot: `text.format`."""
    values: tuple[Any, ...]
    remedy: str


LOG_PROBABILITIES: Final = Supported(
    "top_logprobs", (0,), "Log probabilities are not supported. Omit 'top_logprobs' or set it to 0."
)
SERVICE_TIER: Final = Supported("service_tier", ("auto", "default"), "Supported values are: 'auto' and 'default'.")
PADDING: Final = Supported("stream_options.include_obfuscation", (False,), "Streams are not padded. Omit it.")


def reject_unsupported(body: object, table: Sequence[Supported]) -> None:
    """Raise `ChatError(INVALID_REQUEST)` for the first parameter with a value that is not supported."""
    for error in unsupported(body, table):
        raise error


def unsupported(body: object, table: Sequence[Supported]) -> Iterator[ChatError]:
    """Yield the error for each parameter with a value that is not supported."""
    for param, values, remedy in table:
        value = _value(body, param)
        if value is not None and value not in values:
            yield ChatError(Code.INVALID_REQUEST, f"Unsupported value: '{param}'. {remedy}", param=param)


def _value(body: object, param: str) -> Any:  # noqa: ANN401  # any JSON value
    found: Any = body
    for name in param.split("."):
        found = getattr(found, name, None)
    return found
