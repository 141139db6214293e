"""Anthropic's Messages on Bedrock (InvokeModel), for clients of that dialect: nothing of them is lost. Pure.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html. The body is
Anthropic's without the model and the wish for a stream, which the path has; versions and beta features stand in it.
"""

from collections.abc import Collection
from typing import Final

import msgspec

from chatfleet_api.domain.request import MESSAGES, ChatRequest, Sent
from chatfleet_api.providers.own_dialect import sent_in
from chatfleet_api.providers.provider import Finish, StreamItem
from chatfleet_api.providers.vendors.anthropic import as_sent
from chatfleet_api.providers.vendors.anthropic import lossless as anthropic
from chatfleet_api.providers.vendors.anthropic.request import API_VERSION_WITH_SAMPLING
from chatfleet_api.providers.vendors.bedrock.errors import exception_in
from chatfleet_contract.spec.providers import Compatibility

VERSION_WITH_SAMPLING: Final = "bedrock-2023-05-31"
"""Bedrock's name of the older version of the API."""
_FAMILY: Final = "anthropic."
"""Stands in the names of models and inference profiles, such as `eu.anthropic.claude-haiku-5-5-v1:0`."""
_IN_PATH: Final = ("model", "stream")

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def sent_to_model(request: ChatRequest) -> Sent | None:
    """Return what the client sent, if model and client both speak Anthropic's dialect."""
    return sent_in(MESSAGES, request) if _FAMILY in request.model else None


def body(request: ChatRequest, sent: Sent, compatibility: Compatibility) -> bytes:
    """Return the request, each field as it was sent."""
    whole = as_sent.body(request, sent, compatibility, sampling_version=API_VERSION_WITH_SAMPLING)
    return msgspec.json.encode(_invoked(whole, sent))


def _invoked(whole: bytes, sent: Sent) -> dict[str, object]:
    headers = as_sent.headers(sent)
    version = headers.get("anthropic-version", "")
    fields: dict[str, object] = {name: value for name, value in _fields(whole).items() if name not in _IN_PATH}
    fields["anthropic_version"] = VERSION_WITH_SAMPLING if version == API_VERSION_WITH_SAMPLING else version
    if beta := headers.get("anthropic-beta"):
        fields["anthropic_beta"] = [name.strip() for name in beta.split(",") if name.strip()]
    return fields


class _Chunk(msgspec.Struct, gc=False):
    bytes: bytes
    """An event of Anthropic, in base64."""


class _Payload(msgspec.Struct, gc=False):
    chunk: _Chunk


_decode: Final = msgspec.json.Decoder(_Payload).decode


class MessagesParser:
    """Parses events of Anthropic in frames, or those of a whole answer without frames."""

    def __init__(self, request: ChatRequest) -> None:
        self._parser = anthropic.parser(request)

    @property
    def pieces(self) -> int:
        """Pieces that have come."""
        return self._parser.pieces

    @pieces.setter
    def pieces(self, number: int) -> None:
        self._parser.pieces = number

    @property
    def done(self) -> bool:
        """Whether the `Finish` has been appended."""
        return self._parser.done

    @property
    def has_begun(self) -> bool:
        """Whether a part of a message has come."""
        return self._parser.has_begun

    @property
    def is_ending(self) -> bool:
        """Whether only the mark of the end may still come."""
        return self._parser.is_ending

    @property
    def is_holding(self) -> bool:
        """Whether a part is held back."""
        return self._parser.is_holding

    @property
    def left_out(self) -> Collection[str]:
        """What is in no item."""
        return self._parser.left_out

    def read(self, payload: bytes, items: list[StreamItem]) -> None:
        """Append to `items` what the next payload brings."""
        try:
            payload = _decode(payload).chunk.bytes
        except msgspec.MsgspecError:
            if failure := exception_in(payload):
                raise failure from None
        self._parser.read(payload, items)

    def end(self) -> Finish:
        """Raise, since only `message_stop` ends a message."""
        return self._parser.end()
