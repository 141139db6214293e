"""A span for each attempt at an upstream, in the semantic conventions of OpenTelemetry for generative AI.

Put it around what measures the attempt. What is sent to the upstream has the span as its parent. Without tracing it
costs one look at a variable for each attempt, and nothing for each token.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Final

import msgspec
from typing_extensions import override

from chatfleet_api.domain import trace
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token
from chatfleet_api.domain.request import ChatRequest, TextPart
from chatfleet_api.domain.trace import Attribute, Kind, Span
from chatfleet_api.providers.provider import Finish, ItemBatch, Opening, Provider, Stream
from chatfleet_contract.spec import GenAIConventions
from chatfleet_contract.spec.provider_types import ProviderType

_NAMES: Final = {
    ProviderType.OPENAI: "openai",
    ProviderType.AZURE_OPENAI: "azure.ai.openai",
    ProviderType.ANTHROPIC: "anthropic",
    ProviderType.BEDROCK: "aws.bedrock",
}
"""As OpenTelemetry has them. Another provider is called as in the catalogue."""


class TracedModel(msgspec.Struct, frozen=True):
    """What spans have of a model and its provider."""

    provider: str
    upstream_model: str
    type: ProviderType
    server: str | None
    """Host of the upstream, where the configuration has its URL."""

    def attributes(self, request: ChatRequest, conventions: GenAIConventions) -> dict[str, Attribute]:
        """Return what is known of an attempt at an answer before it is sent."""
        latest = conventions is GenAIConventions.LATEST
        found: dict[str, Attribute | None] = {
            **self.common("chat", conventions),
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.request.top_p": request.top_p,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.stream": True if latest else None,
        }
        return {key: value for key, value in found.items() if value is not None}

    def common(self, operation: str, conventions: GenAIConventions) -> dict[str, Attribute]:
        """Return the attributes of every operation."""
        latest = conventions is GenAIConventions.LATEST
        found: dict[str, Attribute] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name" if latest else "gen_ai.system": _NAMES.get(self.type, self.provider),
            "gen_ai.request.model": self.upstream_model,
            "chatfleet.provider": self.provider,
        }
        return found if self.server is None else {**found, "server.address": self.server}


@contextmanager
def embeddings_span(model: TracedModel) -> Iterator[None]:
    """Make the block, one attempt at embeddings, a span."""
    span = trace.begin(f"embeddings {model.upstream_model}", Kind.CLIENT)
    if span is None:
        yield
        return
    span.set(model.common("embeddings", span.tracer.conventions))
    failure: str | None = None
    try:
        with trace.active(span):
            yield
    except BaseException as error:  # cancellation too: it ends the span
        failure = _code(error)
        raise
    finally:
        span.end(failure)


class Traced:
    """A `Provider` whose attempts are spans."""

    def __init__(self, inner: Provider, model: TracedModel, clock: Callable[[], float]) -> None:
        self._inner = inner
        self._model = model
        self._clock = clock

    def open(self, request: ChatRequest) -> Opening:
        opening = self._inner.open(request)
        span = trace.begin(f"chat {self._model.upstream_model}", Kind.CLIENT)
        if span is None:
            return opening
        span.set(self._model.attributes(request, span.tracer.conventions))
        if span.tracer.captures_content:
            span.set({"gen_ai.input.messages": _messages(request)})
        return _TracedOpening(opening, span, self._clock)


class _TracedOpening(AbstractAsyncContextManager[Stream], AsyncIterator[ItemBatch]):
    """Ends the span when the block ends, with what the answer has used."""

    def __init__(self, opening: Opening, span: Span, clock: Callable[[], float]) -> None:
        self._opening = opening
        self._span = span
        self._clock = clock
        self._began = clock()
        self._finish: Finish | None = None
        self._words: list[str] | None = [] if span.tracer.captures_content else None

    @override
    async def __aenter__(self) -> Stream:
        try:
            with trace.active(self._span):
                self._stream = await self._opening.__aenter__()
        except BaseException as error:  # cancellation too: it ends the span
            self._span.end(_code(error))
            raise
        if self._span.tracer.conventions is GenAIConventions.LATEST:
            self._span.set({"gen_ai.response.time_to_first_chunk": self._clock() - self._began})
        return self

    @override
    async def __anext__(self) -> ItemBatch:
        items = await anext(self._stream)
        last = items[-1]
        if type(last) is Finish:
            self._finish = last
        if self._words is not None:
            self._words += [item.text for item in items if isinstance(item, Token)]
        return items

    @override
    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        try:
            await self._opening.__aexit__(kind, error, None)
        finally:
            self._span.set(self._outcome())
            whole = self._finish is not None
            self._span.end(None if whole else _code(error))

    def _outcome(self) -> dict[str, Attribute]:
        found: dict[str, Attribute] = {}
        if (end := self._finish) is not None:
            used = end.usage
            found |= {
                "gen_ai.response.finish_reasons": [end.reason],
                "gen_ai.usage.input_tokens": used.input_tokens,
                "gen_ai.usage.output_tokens": used.output_tokens,
            }
            if self._span.tracer.conventions is GenAIConventions.LATEST:
                found |= {
                    "gen_ai.usage.cache_read.input_tokens": used.cache_read_tokens,
                    "gen_ai.usage.cache_creation.input_tokens": used.cache_write_tokens,
                    "gen_ai.usage.reasoning.output_tokens": used.reasoning_tokens,
                }
        if self._words:
            answer = {"role": "assistant", "parts": [{"type": "text", "content": "".join(self._words)}]}
            found["gen_ai.output.messages"] = msgspec.json.encode([answer]).decode()
        return found


def _code(error: BaseException | None) -> str:
    """Return what an attempt that brought no whole answer is called."""
    return error.code if isinstance(error, ChatError) else Code.CANCELLED


def _messages(request: ChatRequest) -> str:
    """Return the messages in the form of the conventions; of parts that are no text, their type."""
    found = [{"role": message.role, "parts": _parts(message.content)} for message in request.messages]
    return msgspec.json.encode(found).decode()


def _parts(content: str | Sequence[object] | None) -> list[dict[str, str]]:
    if content is None or isinstance(content, str):
        return [{"type": "text", "content": content or ""}]
    return [
        {"type": "text", "content": part.text} if isinstance(part, TextPart) else {"type": "image"} for part in content
    ]
