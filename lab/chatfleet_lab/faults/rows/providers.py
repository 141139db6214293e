"""Providers that fail. Clients request an answer twice a second: no chat is ever sent to probe."""

from typing import Any, Final

from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import Case, Fault, Needs, Step, Tool
from chatfleet_lab.faults.rows.manifests import secret
from chatfleet_lab.faults.steps import apply
from chatfleet_lab.faults.tools import KEY, MODEL, catalogue, refuse, well
from harness.faults.toxics import REFUSING
from harness.upstream.fake import Handler, Reply


def answers(handler: Handler) -> Step:
    """Return the step from which on the upstream answers by a script."""
    return lambda case: case.tools.upstream.answers(handler)


def response(status: int, body: str, content_type: str = "application/json") -> Handler:
    """Return the script of one answer to everything."""

    async def script(reply: Reply) -> None:
        await refuse(reply, status, body, content_type)

    return script


def error(status: int, message: str, code: str = "") -> Handler:
    """Return the script of an error to everything, as the vendor writes it."""
    return response(status, f'{{"error": {{"message": "{message}", "code": "{code}"}}}}')


async def hangs(reply: Reply) -> None:
    await reply.hang()


async def breaks(reply: Reply) -> None:
    reply.cut()


def provider(**changes: Any) -> Step:  # noqa: ANN401  # JSON
    """Return the step that changes the provider: `{url}` is its URL without path, `{host}` its host."""

    def step(case: Case) -> None:
        url = case.tools.base_url
        names = {"host": case.tools.host, "url": url.removesuffix("/v1")}
        filled = {key: text.format(**names) for key, text in changes.items()}
        case.apply(**catalogue(**{"base_url": case.tools.base_url, **filled}))

    return step


def unavailable(name: str, inject: Step, *words: str, heal: Step | None = None) -> Fault:
    """Return the row of a provider that fails; it is healed when the upstream is well again."""
    return Fault(
        name,
        inject,
        heal or answers(well()),
        ConditionType.UPSTREAMS_AVAILABLE,
        Reason.UNAVAILABLE,
        ("up", *words),
        needs=Needs.SERVING,
        tools=frozenset({Tool.UPSTREAM}),
    )


def refused(case: Case) -> None:
    case.tools.run(case.tools.upstream_proxy.set(REFUSING))
    case.tools.loop.call_soon_threadsafe(case.tools.upstream_proxy.reset)


def reachable(case: Case) -> None:
    case.tools.run(case.tools.upstream_proxy.heal())


NO_MODEL: Final = f"The model {MODEL} does not exist"
QUOTA: Final = "You exceeded your current quota, please check your plan and billing details"

ROWS: Final = (
    unavailable(
        "model that the vendor does not have",
        answers(well(("gpt-y",), error(404, NO_MODEL, "model_not_found"))),
        MODEL,
        "does not exist",
    ),
    unavailable("path in baseURL that does not exist", provider(base_url="{url}/v2"), "404", heal=provider()),
    unavailable("404 to chats", answers(well(chat=response(404, "Not Found", "text/plain"))), "404"),
    unavailable("401 to everything", answers(error(401, "Incorrect API key provided")), "401"),
    unavailable(
        "403 to chats", answers(well(chat=error(403, "You have insufficient permissions"))), "insufficient permissions"
    ),
    unavailable("429 to chats", answers(well(chat=error(429, "Rate limit reached"))), "Rate limit reached"),
    unavailable(
        "quota that is spent",
        answers(well(chat=error(429, QUOTA, "insufficient_quota"))),
        "exceeded your current quota",
    ),
    unavailable("500 to everything", answers(error(500, "The server had an error")), "500"),
    unavailable("503 to chats", answers(well(chat=error(503, "The engine is overloaded"))), "overloaded"),
    unavailable("no response", answers(hangs), "up"),
    unavailable("no first token", answers(well(chat=hangs)), "up"),
    unavailable("HTML page instead of an answer", answers(response(200, "<html>Welcome</html>", "text/html")), "up"),
    unavailable("connections that are reset", answers(breaks), "up"),
    unavailable("connections that are refused", refused, "ConnectionRefusedError", heal=reachable),
    unavailable(
        "host that does not resolve", provider(base_url="http://nowhere.{host}/v1"), "name resolution", heal=provider()
    ),
    unavailable(
        "certificate that no authority has signed",
        provider(base_url="https://kubernetes.default.svc/v1"),
        "certificate verify failed",
        heal=provider(),
    ),
    unavailable(
        "request field that the upstream rejects",
        answers(well(chat=error(400, "Unrecognized request argument supplied: stream_options"))),
        "set compatibility.streamOptions to false",
    ),
    unavailable(
        "API key that is replaced by a wrong one",
        apply(secret("own", key="sk-wrong")),
        "401",
        heal=apply(secret("own", key=KEY)),
    ),
)
