"""What the headers of a request want of the response cache, when it has a part in a request, and how it is marked."""

from typing import Final

import pytest
from starlette.types import Message, Receive, Scope, Send

from chatfleet_api.domain.cache_use import DECIDED_SECONDS, CacheUse, current
from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.web.middleware.response_cache import ResponseCaching, wanted
from chatfleet_api.web.sse import CONTENT_TYPE
from harness.pods.runs import loop_clock

pytestmark = pytest.mark.looptime

JSON: Final = b"application/json"


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ([], (True, True, None)),
        (["no-cache"], (False, True, None)),
        (["No-Store"], (False, False, None)),
        (["no-cache, max-age=0"], (False, True, 0)),
        (["max-age=60"], (True, True, 60)),
        (["max-age=60", "max-age=5"], (True, True, 5)),
        (["max-age=-1, max-age=x, max-age=, max-age=\xb2, max-age=" + "9" * 99], (True, True, None)),
        (["private, no-storex, x-no-cache"], (True, True, None)),
    ],
)
def test_cache_control_is_read_as_http_has_it(control: list[str], expected: tuple[bool, bool, int | None]) -> None:
    use = wanted("shop", [(b"cache-control", value.encode("latin-1")) for value in control])
    assert (use.tenant, (use.reads, use.writes, use.max_age_seconds)) == ("shop", expected)


class App:
    """Answers by one message, after it has done something with its `CacheUse`."""

    def __init__(self, kind: bytes, *, decides: bool = True, expects: bool = False) -> None:
        self.kind = kind
        self.decides = decides
        self.expects = expects
        self.seen: list[CacheUse | None] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # ASGI's
        use = current()
        self.seen.append(use)
        if use is not None and self.expects:
            use.expect()
        if use is not None and self.decides:
            use.decide("hit", 7)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", self.kind)]})


async def headers_of(app: App, *, enabled: bool = True, method: str = "POST") -> dict[bytes, bytes]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": method, "headers": [], "state": {"principal": Principal("shop")}}
    await ResponseCaching(app, enabled=Live(lambda: enabled))(scope, receive, send)
    return dict(sent[0]["headers"])


@pytest.mark.parametrize("kind", [JSON, CONTENT_TYPE])
async def test_a_hit_is_marked_with_its_age(kind: bytes) -> None:
    found = await headers_of(App(kind))
    assert (found[b"x-chatfleet-cache"], found[b"age"]) == (b"hit", b"7")


async def test_nothing_is_there_to_be_used_while_it_is_off_or_nothing_is_asked() -> None:
    app = App(JSON)
    assert await headers_of(app, enabled=False) == {b"content-type": JSON}
    assert await headers_of(app, method="GET") == {b"content-type": JSON}
    assert app.seen == [None, None]


@pytest.mark.parametrize(
    ("kind", "expects", "seconds"),
    [(JSON, True, 0.0), (CONTENT_TYPE, True, DECIDED_SECONDS), (CONTENT_TYPE, False, 0.0)],
)
async def test_only_the_headers_of_a_stream_that_can_be_cached_wait_and_not_for_long(
    kind: bytes, seconds: float, *, expects: bool
) -> None:
    begun = loop_clock()
    assert await headers_of(App(kind, decides=False, expects=expects)) == {b"content-type": kind}
    assert loop_clock() - begun == pytest.approx(seconds)
