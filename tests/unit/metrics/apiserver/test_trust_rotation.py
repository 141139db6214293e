"""The refresh loop on virtual time: when we register, and that a failure changes nothing."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from chatfleet_metrics.apiserver.tls import ServerTLS
from chatfleet_metrics.apiserver.trust_rotation import INTERVAL_SECONDS, RETRY_SECONDS, TrustRotation
from chatfleet_operator.kube import Connection
from chatfleet_operator.model.errors import Retry
from chatfleet_operator.model.values import Ref

pytestmark = pytest.mark.looptime

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


class Server:
    """A ConfigMap and a Secret with its resourceVersion, as the API server keeps them."""

    def __init__(self) -> None:
        self.secret: dict[str, Any] = {"metadata": {"resourceVersion": "0"}}
        self.config: dict[str, Any] = {"data": {"requestheader-username-headers": '["X-Remote-User"]'}}
        self.writes = 0
        self.race = False
        """Whether another replica writes just before us."""

    async def read(self, kind: str, _namespace: str, *_name: str) -> dict[str, Any]:
        return self.secret if kind == "Secret" else self.config

    async def write(self, _method: str, _kind: str, *_name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self.race or body["metadata"] != self.secret["metadata"]:
            raise Retry("the object has been modified")
        self.writes += 1
        self.secret = {**body, "metadata": {"resourceVersion": str(self.writes)}}
        return self.secret


def rotation(server: Server, registered: list[float]) -> TrustRotation:
    async def register(_bundle: bytes) -> None:
        registered.append(asyncio.get_running_loop().time())

    connection = cast("Connection", server)
    return TrustRotation(connection, Ref("chatfleet-system", "s"), "host.svc", register, lambda: NOW, ServerTLS())


async def run(kept: TrustRotation, seconds: float, *, ready_after: float = 0) -> None:
    clock = asyncio.get_running_loop()
    with suppress(TimeoutError):
        await asyncio.wait_for(kept.run(lambda: clock.time() >= ready_after), seconds)


async def test_we_register_once_ready_and_refresh_at_intervals() -> None:
    server, registered = Server(), list[float]()
    await run(rotation(server, registered), 41, ready_after=9)

    assert registered == [10, 10 + INTERVAL_SECONDS, 10 + 2 * INTERVAL_SECONDS]
    assert server.writes == 1


async def test_a_replica_that_comes_second_takes_over_what_the_first_wrote() -> None:
    server = Server()
    first, second = rotation(server, []), rotation(server, [])
    assert await first.refresh() == await second.refresh()
    assert server.writes == 1


async def test_a_replica_that_loses_the_race_serves_nothing_of_its_own_and_looks_again() -> None:
    server, registered = Server(), list[float]()
    server.race = True
    loser = rotation(server, registered)
    await run(loser, 1)
    assert (loser.is_loaded, registered) == (False, [])
    server.race = False
    await run(loser, RETRY_SECONDS)
    assert (loser.is_loaded, len(registered)) == (True, 1)


async def test_a_failure_of_tls_is_a_failure_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    server, registered = Server(), list[float]()
    kept = rotation(server, registered)

    def fail(*_: object) -> None:
        raise ssl.SSLError("no such thing")

    with monkeypatch.context() as broken:
        broken.setattr(kept.tls, "load", fail)
        await run(kept, 1)
    assert (kept.is_loaded, registered) == (False, [])
    await run(kept, RETRY_SECONDS)
    assert kept.is_loaded


async def test_a_failure_changes_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    server, registered = Server(), list[float]()
    kept = rotation(server, registered)
    await kept.refresh()
    known = kept.trust
    server.config = {"data": {"client-ca-file": "nonsense"}}
    with caplog.at_level(logging.WARNING):
        await run(kept, 60)

    assert kept.trust is known
    assert registered == []
    assert len(caplog.messages) == 1
