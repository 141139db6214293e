"""CPU of the identity of one request whose credential is known: `python -m chatfleet_lab.bench.identity`.

It is what the middleware takes, with the count by tenant, in this process. A token was verified before, by the first
request that had it.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from chatfleet_api.web.middleware.identity import Identity
from chatfleet_contract.runtime import RuntimeKeys
from harness.clients.asgi import get
from harness.pods.api_pod import Pod
from harness.pods.issuer import Issuer
from harness.pods.runs import FakeProvider

LIMIT_MICROSECONDS: Final = 60.0
"""Of CPU for each request, as promised."""
KEYS: Final = 1_000
REQUESTS: Final = 5_000
ROUNDS: Final = 7
OTHERS: Final = {f"x-header-{number}": "value" for number in range(12)}
"""As many headers as an SDK sends beside the credential."""


async def measure(*, requests: int = REQUESTS, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the microseconds of CPU of each kind of credential: the least of the rounds, since others only add."""
    with TemporaryDirectory() as folder:
        pod, issuer = _pod(Path(folder)), Issuer()
        pod.issuers = {issuer.url: issuer}
        pod.change("access", jwt=(issuer.settings(),))
        credentials = {"API key": key(KEYS // 2), "token": issuer.token()}
        found = {}
        for kind, credential in credentials.items():
            headers = {"host": "pod", "content-type": "application/json", **OTHERS}
            scope = get("/v1/models", **headers, authorization=f"Bearer {credential}").scope
            found[kind] = await _least(pod, scope, requests, rounds)
        return found


async def _least(pod: Pod, scope: dict[str, Any], requests: int, rounds: int) -> float:
    accepted = 0

    async def after(scope: Scope, _: Receive, __: Send) -> None:
        nonlocal accepted
        accepted += 1
        pod.meter.asked(scope["state"]["principal"].tenant)

    async def nothing(*_: object) -> Any:  # noqa: ANN401
        return None

    identity: Callable[..., Awaitable[None]] = Identity(after, authenticate=pod.authentication)

    async def times(app: Callable[..., Awaitable[None]]) -> float:
        began = time.process_time()
        for _ in range(requests):
            await app({**scope, "state": {}}, nothing, nothing)
        return (time.process_time() - began) / requests * 1e6

    await identity({**scope, "state": {"request_id": "r"}}, nothing, nothing)  # the first verifies
    empty = min([await times(nothing) for _ in range(rounds)])
    least = min([await times(identity) for _ in range(rounds)]) - empty
    if accepted != rounds * requests + 1:
        raise RuntimeError("a request was refused")
    return least


def key(number: int) -> str:
    return f"sk-chat-{number:032}"


def _pod(folder: Path) -> Pod:
    for number in range(KEYS):
        (folder / f"k{number}").write_text(json.dumps({"key": key(number), "user": "ann", "models": ["m"]}))
    pod = Pod(FakeProvider())
    pod.change("access", anonymous=False, api_keys=(RuntimeKeys(tenant="shop", folder=str(folder)),))
    pod.refresh_keys()
    return pod


def main() -> None:
    """Print the figures."""
    for kind, microseconds in asyncio.run(measure()).items():
        sys.stdout.write(f"{kind}: {microseconds:.1f} µs of CPU for each request; limit {LIMIT_MICROSECONDS:.0f}\n")


if __name__ == "__main__":
    main()
