"""What becomes of each property of a request on the way to each vendor: found by sending it, never written down."""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.vendor import Vendor
from chatfleet_api.providers.vendors.scripted.provider import Scripted
from chatfleet_api.web.own_names import in_own_names
from chatfleet_contract.spec.providers import Compatibility
from harness.conformance.dialects import (
    DIALECTS,
    OF_EARLIER_ANSWERS,
    Dialect,
    Parsed,
    compared,
    with_demanded,
    with_results,
)
from harness.conformance.outcomes import Outcome, refused, run, summary
from harness.conformance.properties import Probe, Property, properties_of


def properties(dialect: Dialect) -> list[Property]:
    """Return the properties of a dialect's requests."""
    found: dict[str, Property] = {}
    for kind in dialect.types:
        for each in properties_of(kind, ours=dialect.least):
            if each.top != "betas":  # the SDK's own name for a header
                found.setdefault(each.path, each)
    return list(found.values())


class Pair:
    """A dialect of clients and the API of a vendor; None: the scripted provider."""

    def __init__(self, dialect: Dialect, vendor: Vendor | None) -> None:
        self.dialect = dialect
        self._vendor = vendor
        self._effect = Outcome.HONORED if vendor is None else Outcome.TRANSLATED
        self.is_own = vendor is not None and dialect.speaks(vendor)

    def outcome(self, each: Property) -> Outcome:
        """Return what becomes of a property on the way."""
        found = {self._probed(probe, each) for probe in each.probes}
        if found == {None}:
            return Outcome.HINT if self._vendor is None or _is_harmless(self.dialect, each) else Outcome.LOST
        return summary({value or Outcome.HINT for value in found})

    def _probed(self, probe: Probe, each: Property) -> Outcome | None:
        """Return what becomes of one value; None: nothing that can be seen."""
        body = complete(self.dialect, probe.document)
        try:
            parsed, arrived = self._sent(body)
        except ChatError as error:
            return refused(in_own_names(error, self.dialect.names), each)
        if self.is_own and each.top not in self.dialect.ours:
            assert self._vendor
            expected = compared(self.dialect, self._vendor, body)
            same = {name: value for name, value in arrived.items() if name not in self.dialect.ours} == expected
            return Outcome.PASSED if same else Outcome.LOST
        try:
            other, other_arrived = self._sent(complete(self.dialect, probe.other or self.dialect.least))
        except ChatError:  # the other value is rejected, this one is not
            return self._effect
        differs = other_arrived != arrived
        if other.kept != parsed.kept and (each.top in self.dialect.ours or not differs):
            return Outcome.HONORED
        return self._effect if differs else None

    def _sent(self, body: dict[str, Any]) -> tuple[Parsed, Any]:
        parsed = _parsed(self.dialect.name, msgspec.json.encode(body))
        if isinstance(parsed, ChatError):
            raise parsed
        if self._vendor is None:
            return parsed, list(_answered(replace(parsed.request, model="echo")))
        return parsed, msgspec.json.decode(self._vendor.body(parsed.request, Compatibility()))


@lru_cache(maxsize=64)
def _parsed(dialect: str, raw: bytes) -> Parsed | ChatError:
    """Return a body as its dialect reads it; all vendors get the same."""
    try:
        return NAMED[dialect].parse(raw)
    except ChatError as error:
        return error


NAMED = {dialect.name: dialect for dialect in DIALECTS}


def _is_harmless(dialect: Dialect, each: Property) -> bool:
    names = {re.split(r"[\[(]", name)[0] for name in each.path.split(".")}
    return bool(names & dialect.harmless) or any(f"[{kind}]" in each.path for kind in OF_EARLIER_ANSWERS)


def _answered(request: ChatRequest) -> Iterator[Any]:
    """Yield the batches of the scripted provider, which waits for nothing here."""
    opening = Scripted(clock=lambda: 0.0, sleep=_no_time).open(request)
    stream = run(opening.__aenter__())
    while True:
        try:
            yield run(anext(stream))
        except StopAsyncIteration:
            return


async def _no_time(_: float) -> None:
    """Wait for no time."""


def complete(dialect: Dialect, document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with what vendors demand beyond their types."""
    body = dict(document)
    if isinstance(messages := body.get("messages"), list):
        body["messages"] = [_with_content(message) if isinstance(message, dict) else message for message in messages]
    if dialect.tool and body.keys() & {"parallel_tool_calls", "tool_choice"}:
        body.setdefault("tools", [dialect.tool])
    if isinstance(body.get("input"), list):
        body["input"] = with_demanded(body["input"])
    return with_results(body)


def _with_content(message: dict[str, Any]) -> dict[str, Any]:
    has_some = any(name in message for name in ("content", "tool_calls", "audio", "function_call", "refusal"))
    return message if has_some or message.get("role") != "assistant" else {**message, "content": "Hello"}
