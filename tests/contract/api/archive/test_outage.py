"""What callers get while PostgreSQL is down: of new chats all, of what has expired an answer that is true."""

from pathlib import Path

import redis

from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.archived import NOWHERE
from harness.pods.runs import STOP, FakeProvider, text
from harness.pods.tenants import TenantPod, key_of, open_tenant_pod
from harness.polling import eventually_async
from harness.postgres import PostgresServer, end_connections, fetch_all


async def chat(pod: TenantPod, caller: str) -> str:
    """Return a conversation with a question and an answer."""
    key = {"x-api-key": key_of(caller)}
    made = await ask(pod.app, post("/api/v1/conversations", {}, **key))
    path = f"/api/v1/conversations/{made.json()['id']}"
    assert (await ask(pod.app, post(f"{path}/messages", {"content": "Hi"}, **key))).status == 200
    return path


async def status(pod: TenantPod, caller: str, exchange: Exchange) -> int:
    exchange.scope["headers"] += [(b"x-api-key", key_of(caller).encode())]
    return (await ask(pod.app, exchange)).status


async def test_new_chats_begin_and_what_has_expired_is_neither_denied_nor_lost(
    tmp_path: Path, redis_url: str, postgres: PostgresServer
) -> None:
    (archive := tmp_path / "postgres").write_text(url := postgres.database())
    async with open_tenant_pod(tmp_path, FakeProvider(text("a"), [STOP]), redis_url, postgres=archive) as pod:
        keeper = pod.keeper
        assert keeper is not None
        paths = {caller: await chat(pod, caller) for caller in ("acme", "ann")}
        await eventually_async(lambda: keeper.messages >= 4)
        await eventually_async(lambda: keeper.queued == 0)
        with redis.Redis.from_url(redis_url) as server:
            server.flushall()
        archive.write_text(NOWHERE)
        end_connections(url)
        await eventually_async(lambda: keeper.down)
        for caller, path in paths.items():
            assert await status(pod, caller, get(path)) == 503
            assert await status(pod, caller, post(f"{path}/messages", {"content": "Hi"})) == 503
        assert await status(pod, "ann", Exchange("DELETE", paths["ann"])) == 503  # whose it is, is not known
        assert await status(pod, "acme", Exchange("DELETE", paths["acme"])) == 204
        assert await status(pod, "acme", get(paths["acme"])) == 404
        for caller in paths:
            await chat(pod, caller)
            body = {"threadId": "t", "runId": "r", "messages": [{"id": "m", "role": "user", "content": "Hi"}]}
            assert await status(pod, caller, post("/api/v1/ag-ui", body)) == 200
        archive.write_text(url)
        await eventually_async(lambda: len(fetch_all(url, "SELECT id FROM chatfleet.conversations")) == 5)
        assert await status(pod, "acme", get(paths["acme"])) == 404
        assert await status(pod, "ann", get(paths["ann"])) == 200
