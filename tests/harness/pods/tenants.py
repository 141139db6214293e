"""A pod with callers of several tenants and users, on Redis or in memory, which records its requests to Redis."""

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute
from starlette.types import ASGIApp
from uuid_utils import uuid7

from chatfleet_api.archive.keeper import ArchiveKeeper
from chatfleet_api.archive.marks import Marks
from chatfleet_api.archive.opening import ArchivedParts
from chatfleet_api.chat.services import ChatPorts, chat_services
from chatfleet_api.identity.authentication import open_authentication
from chatfleet_api.pod.configuration import Configuration, local
from chatfleet_api.pod.health import Health
from chatfleet_api.pod.lifecycle import Lifecycle, drain_runs
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.probes import health_routes
from chatfleet_api.pod.services import Wiring
from chatfleet_api.providers.provider import Provider
from chatfleet_api.redis.client import RedisClient, open_redis
from chatfleet_api.redis.executor import Executor
from chatfleet_api.runs.opening import open_fleet, open_run_log
from chatfleet_api.runs.pool import RunPool
from chatfleet_api.sessions.opening import open_feedback, open_sessions
from chatfleet_api.web.app import create_app
from chatfleet_api.webhooks.outbox import no_webhooks
from chatfleet_contract.runtime import RuntimeKeys
from harness.pods.archived import SETTLING, archiving
from harness.pods.health import NoBudgets
from harness.pods.issuer import no_issuers
from harness.pods.live import fixed
from harness.pods.runs import OneModel
from harness.upstream.catalogue import registry_of

CALLERS: Final[dict[str, dict[str, str]]] = {
    "acme": {"tenant": "acme"},
    "initech": {"tenant": "initech"},
    "ann": {"tenant": "shared", "user": "ann"},
    "bob": {"tenant": "shared", "user": "bob"},
}
"""Callers by the name of their key: two tenants, and two users of one."""
DEPLOYMENT: Final = ("tests", "chat")
"""Namespace and name."""
_recorded: ContextVar[list[str] | None] = ContextVar("recorded", default=None)


def key_of(caller: str) -> str:
    return f"sk-chat-{caller:-<40}"


@dataclass(frozen=True)
class TenantPod:
    """What tests need of the pod."""

    app: ASGIApp
    meter: Meter
    ends: bool
    """Whether its answers end."""
    keeper: ArchiveKeeper | None = None
    """Of its archive."""

    @property
    def routes(self) -> set[str]:
        """Every route of the application, as `METHOD path`; another kind of route by its type."""
        inner: Any = self.app
        while not isinstance(inner, FastAPI):
            inner = inner._app  # noqa: SLF001  # middleware
        return set(_routes(inner.router.routes))


def _routes(routes: list[BaseRoute]) -> Generator[str, None, None]:
    for route in routes:
        router = getattr(route, "original_router", None)
        if router is not None:
            yield from _routes(router.routes)
            continue
        methods = getattr(route, "methods", None) or {type(route).__name__}
        for method in methods - {"HEAD"}:
            yield f"{method} {getattr(route, 'path', '')}"


@asynccontextmanager
async def open_tenant_pod(
    folder: Path, provider: Provider, url: str | None, *, ends: bool = True, postgres: Path | None = None
) -> AsyncGenerator[TenantPod, None]:
    """Yield a pod that serves the model `m`; `url` is that of its Redis, None: it has none.

    `postgres` is the file with the URL of its archive.
    """
    for name, named in CALLERS.items():
        (folder / name).write_text(json.dumps({"key": key_of(name), **named}))
    meter = Meter("tests")
    configuration = Configuration(_restricted(folder, postgres), build=registry_of(meter).catalogue)
    streams, kept = (configuration.live.map(lambda live: live.streaming), configuration.live)
    conversations = kept.map(lambda live: live.conversations)
    async with AsyncExitStack() as stack:
        redis = None if url is None else await stack.enter_async_context(open_redis(url, *DEPLOYMENT))
        pod, clock = str(uuid7()), time.monotonic
        fleet = await stack.enter_async_context(open_fleet(redis, pod, streams, clock=clock, rand=random.random))
        log = await stack.enter_async_context(open_run_log(redis, streams, conversations, clock=clock))
        pool = RunPool(log, fleet, streams)
        sessions = open_sessions(redis, conversations, fixed(0), clock=clock)
        feedback, keeper = open_feedback(redis, sessions), None
        if redis is not None and postgres is not None:
            keeper = await stack.enter_async_context(archiving(redis, kept))
            parts = ArchivedParts(redis, kept, Marks(redis, settling=SETTLING), keeper.available)
            sessions, feedback = parts.sessions(sessions), parts.feedback(feedback)
        stack.push_async_callback(drain_runs, pool, 0)
        ports = ChatPorts(
            catalogue=fixed(OneModel(provider)),
            pool=pool,
            log=log,
            fleet=fleet,
            sessions=sessions,
            clock=clock,
            now=lambda: datetime.now(UTC),
            new_id=lambda: str(uuid7()),
            meter=meter,
            on_busy=fixed("reject"),
        )
        wiring = Wiring(
            configuration=configuration,
            ports=ports,
            feedback=feedback,
            announce=no_webhooks,
            meter=meter,
            lifecycle=Lifecycle(clock),
            authentication=open_authentication(
                kept.map(lambda live: live.access), no_issuers, now=ports.now, clock=clock
            ),
            uniform=random.uniform,
            version="tests",
            redis=redis,
        )
        sources = wiring.sources(budgets=NoBudgets(), recheck=asyncio.Event())
        health = Health(pod=pod, version="tests", sources=sources)
        services = wiring.web(chat_services(ports))
        yield TenantPod(create_app(services, routers=[health_routes(health, meter)]), meter, ends, keeper)


def _restricted(folder: Path, postgres: Path | None) -> Any:  # noqa: ANN401
    config = local()
    keys = (RuntimeKeys(tenant="unnamed", folder=str(folder)),)
    access = config.access.model_copy(update={"anonymous": False, "api_keys": keys})
    conversations = config.conversations.model_copy(update={"user_webhooks": True})
    archive = {"archive_url_file": None if postgres is None else str(postgres)}
    return config.model_copy(update={"access": access, "conversations": conversations, **archive})


def record_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record what is sent to Redis within `recording`: each round trip, and the commands in it."""
    run, call, call_all = Executor.run, RedisClient.call, RedisClient.call_all

    async def recorded_run(self: Executor, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401
        _record("round trip")
        return await run(self, *arguments, **named)

    async def recorded_call(self: RedisClient, *command: Any) -> Any:  # noqa: ANN401
        _record(_shape(command))
        return await call(self, *command)

    async def recorded_call_all(self: RedisClient, commands: Any) -> Any:  # noqa: ANN401
        for command in commands:
            _record(_shape(command))
        return await call_all(self, commands)

    monkeypatch.setattr(Executor, "run", recorded_run)
    monkeypatch.setattr(RedisClient, "call", recorded_call)
    monkeypatch.setattr(RedisClient, "call_all", recorded_call_all)


@contextmanager
def recording() -> Generator[list[str], None, None]:
    """Yield what the tasks that begin in this block send to Redis."""
    recorded: list[str] = []
    token = _recorded.set(recorded)
    try:
        yield recorded
    finally:
        _recorded.reset(token)


def _record(what: str) -> None:
    recorded = _recorded.get()
    if recorded is not None:
        recorded.append(what)


def _shape(command: Any) -> str:  # noqa: ANN401
    """Return a command without what differs between ids: of a script its text, of others their name."""
    return f"{command[0]} {command[1] if command[0] == 'EVAL' else ''} {len(command)}"
