"""The harness itself: its parts do to real connections and processes what the scenarios take them to do."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from time import monotonic

import aiohttp
import anthropic
import openai
import pytest

from chatfleet_lab.chaos.control import put
from harness.clients.client import Client, Question, open_client
from harness.faults.proxy import Proxy
from harness.faults.proxy_server import control_app
from harness.faults.toxics import BLACKHOLE, HEALTHY, REFUSING, Faults, Toxics
from harness.net import LOOPBACK, free_port, serving
from harness.polling import eventually_async
from harness.process import StartError, ready, started
from harness.upstream.ledger import Ledger
from harness.upstream.script import Fault, Script
from harness.upstream.scripted import upstream_app


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """Port of a server that says what it hears."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for writer in writers:
        writer.transport.abort()
    await asyncio.sleep(0)


@pytest.fixture
async def proxy(echo: int) -> AsyncIterator[Proxy]:
    async with Proxy(echo) as proxy:
        yield proxy


class ProxiedConnection:
    """A client's connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def exchange(self, data: bytes) -> bytes:
        """Send, and return as much as comes back of it within a second."""
        self.writer.write(data)
        return await asyncio.wait_for(self.reader.readexactly(len(data)), 1)


@pytest.fixture
async def connection(proxy: Proxy) -> AsyncIterator[ProxiedConnection]:
    connection = ProxiedConnection(*await asyncio.open_connection(LOOPBACK, proxy.port))
    assert await connection.exchange(b"before") == b"before"
    yield connection
    connection.writer.close()


async def test_a_healthy_proxy_passes_everything_on_both_ways(connection: ProxiedConnection) -> None:
    data = bytes(range(256)) * 40_000
    assert await connection.exchange(data) == data


async def test_the_end_of_what_one_side_says_reaches_the_other(connection: ProxiedConnection, proxy: Proxy) -> None:
    connection.writer.write(b"last words")
    connection.writer.write_eof()
    assert await connection.reader.read() == b"last words"
    await eventually_async(lambda: _gone(proxy))


async def _gone(proxy: Proxy) -> bool:
    return not proxy.links


async def test_latency_delays_all_and_turns_nothing_around(connection: ProxiedConnection, proxy: Proxy) -> None:
    await proxy.set(Faults(down=Toxics(latency=0.2)))
    began = monotonic()
    for number in range(50):
        connection.writer.write(b"%04d" % number)
        await asyncio.sleep(0)
    assert await connection.reader.readexactly(200) == b"".join(b"%04d" % number for number in range(50))
    assert 0.2 <= monotonic() - began < 1


async def test_what_is_under_way_is_not_overtaken_when_a_fault_ends(
    connection: ProxiedConnection, proxy: Proxy
) -> None:
    await proxy.set(Faults(up=Toxics(latency=0.2)))
    connection.writer.write(b"first")
    await eventually_async(lambda: _heard(proxy))
    await proxy.set(HEALTHY)
    assert await connection.exchange(b" second") == b"first s"


async def _heard(proxy: Proxy) -> bool:
    return all(link.client.under_way for link in proxy.links)


async def test_a_narrow_line_takes_its_time(connection: ProxiedConnection, proxy: Proxy) -> None:
    await proxy.set(Faults(up=Toxics(bytes_per_second=10_000)))
    began = monotonic()
    connection.writer.write(bytes(5_000))
    await connection.reader.readexactly(5_000)
    assert 0.45 <= monotonic() - began < 2


async def test_a_black_hole_takes_everything_and_gives_nothing(connection: ProxiedConnection, proxy: Proxy) -> None:
    await proxy.set(BLACKHOLE)
    with pytest.raises(TimeoutError):
        await connection.exchange(b"hello")
    await proxy.set(HEALTHY)
    assert await connection.exchange(b"again") == b"again"


async def test_a_fault_may_hit_one_connection_alone(connection: ProxiedConnection, proxy: Proxy) -> None:
    (hit,) = proxy.links
    other = ProxiedConnection(*await asyncio.open_connection(LOOPBACK, proxy.port))
    hit.faults = BLACKHOLE
    with pytest.raises(TimeoutError):
        await connection.exchange(b"hello")
    assert await other.exchange(b"hello") == b"hello"
    other.writer.close()


async def test_a_reset_is_seen_as_one(connection: ProxiedConnection, proxy: Proxy) -> None:
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await connection.reader.read()


async def test_a_connection_is_cut_after_its_bytes(connection: ProxiedConnection, proxy: Proxy) -> None:
    await proxy.set(Faults(down=Toxics(cut_after=len(b"before") + 3)))
    connection.writer.write(b"hello")
    assert await connection.reader.readexactly(3) == b"hel"
    with pytest.raises(ConnectionResetError):
        await connection.reader.read()


async def test_a_cut_may_come_before_anything_more(connection: ProxiedConnection, proxy: Proxy) -> None:
    await proxy.set(Faults(down=Toxics(cut_after=0)))
    connection.writer.write(b"hello")
    with pytest.raises(ConnectionResetError):
        await connection.reader.read()


async def test_corruption_turns_bytes(connection: ProxiedConnection, proxy: Proxy) -> None:
    await proxy.set(Faults(down=Toxics(corrupt_every=8)))
    assert await connection.exchange(b"hello") == b"h" + bytes([ord("e") ^ 0xFF]) + b"llo"


async def test_half_a_close_leaves_the_other_half_open(connection: ProxiedConnection, proxy: Proxy, echo: int) -> None:
    assert echo == proxy.to
    proxy.half_close()
    assert await connection.reader.read() == b""
    assert len(proxy.links) == 1
    connection.writer.write_eof()
    await eventually_async(lambda: _gone(proxy))


async def test_a_refusing_proxy_lets_nobody_in_until_it_is_healthy(proxy: Proxy) -> None:
    await proxy.set(REFUSING)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(LOOPBACK, proxy.port)
    await proxy.set(HEALTHY)
    _, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    writer.close()


async def test_where_nobody_listens_a_proxy_resets(echo: int) -> None:
    async with Proxy(echo) as nowhere:
        nowhere.to = free_port()
        reader, writer = await asyncio.open_connection(LOOPBACK, nowhere.port)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_proxy_is_switched_over_http(connection: ProxiedConnection, proxy: Proxy) -> None:
    async with serving(control_app(proxy)) as port, aiohttp.ClientSession(f"http://{LOOPBACK}:{port}") as control:
        async with control.put("/faults", json={"down": {"corrupt_every": 7}}) as response:
            assert response.status == 200
        assert await connection.exchange(b"x") == bytes([ord("x") ^ 0xFF])
        async with control.put("/faults", json={"down": {"latency": "long"}}) as response:
            assert response.status == 400
            assert "$.down.latency" in await response.text()
        async with control.post("/reset"):
            pass
        with pytest.raises(ConnectionResetError):
            await connection.reader.read()


@pytest.fixture
async def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
async def upstream(ledger: Ledger) -> AsyncIterator[str]:
    """URL of a scripted upstream."""
    async with serving(upstream_app(ledger)) as port:
        yield f"http://{LOOPBACK}:{port}"


async def test_openais_own_library_gets_the_whole_answer(upstream: str) -> None:
    script = Script("k", 5)
    async with openai.AsyncOpenAI(base_url=f"{upstream}/v1", api_key="k", max_retries=0) as sdk:
        chunks = [
            chunk
            async for chunk in await sdk.chat.completions.create(
                model="m", stream=True, messages=[{"role": "user", "content": script.question}]
            )
        ]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == script.answer
    assert choices[-1].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == script.tokens


async def test_anthropics_own_library_gets_the_whole_answer_and_the_rest_of_a_begun_one(upstream: str) -> None:
    script = Script("k", 5)
    question: anthropic.types.MessageParam = {"role": "user", "content": script.question}
    async with anthropic.AsyncAnthropic(base_url=f"{upstream}/anthropic", api_key="k", max_retries=0) as sdk:
        async with sdk.messages.stream(model="m", max_tokens=100, messages=[question]) as stream:
            whole = await stream.get_final_message()
        begun = "k:0 k:1"
        answer: anthropic.types.MessageParam = {"role": "assistant", "content": begun}
        async with sdk.messages.stream(model="m", max_tokens=100, messages=[question, answer]) as stream:
            rest = await stream.get_final_text()
    assert whole.content[0].type == "text"
    assert whole.content[0].text == script.answer
    assert (whole.stop_reason, whole.usage.output_tokens) == ("end_turn", script.tokens)
    assert begun + rest == script.answer


async def test_the_ledger_knows_how_each_call_ended(upstream: str, ledger: Ledger, client: Client) -> None:
    scripts = {
        "whole": Script("whole", 3),
        "fault": Script("fault", 3, always=Fault("reset", after=1)),
        "closed": Script("closed", 3, gap=30),
    }
    for script in scripts.values():
        await client.ask(upstream, Question(script, "m"), patience=0.5)
    left = monotonic()
    await eventually_async(lambda: _ended(ledger, scripts), seconds=1)
    calls = {key: call for key, (call,) in ledger.calls(scripts).items()}
    assert {key: call.ending for key, call in calls.items()} == {key: key for key in scripts}
    assert [call.tokens for call in calls.values()] == [3, 1, 1]
    assert all(call.ended is not None and abs(call.ended - left) < 1 for call in calls.values())


async def _ended(ledger: Ledger, keys: Iterable[str]) -> bool:
    return all(call.ended is not None for calls in ledger.calls(keys).values() for call in calls)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_client() as client:
        yield client


async def test_the_client_tells_a_broken_connection_from_an_early_end_and_from_silence(
    upstream: str, client: Client
) -> None:
    faults = {"broken": Fault("cut", after=2), "clean": Fault("end", after=2), "never": Fault("stall", after=2)}
    for closing, fault in faults.items():
        received = await client.ask(upstream, Question(Script(closing, 4, always=fault), "m"), patience=1)
        assert (received.closing, received.pieces) == (closing, [f"{closing}:0 ", f"{closing}:1 "])


async def test_a_program_that_does_not_get_ready_is_quoted(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    with (
        started("liar", ("sh", "-c", "echo the port is taken; exit 3"), folder=tmp_path) as program,
        pytest.raises(StartError, match=r"liar was not ready .* its log ends: the port is taken"),
    ):
        await ready(program, never)


async def test_a_program_ends_with_its_block_even_when_it_is_paused(tmp_path: Path) -> None:
    with started("sleeper", ("sleep", "60"), folder=tmp_path) as program:
        program.pause()
        assert not program.running
    assert await program.ended() == -signal.SIGKILL


async def test_a_program_dies_with_a_harness_that_is_killed(tmp_path: Path) -> None:
    harness = """
import asyncio, pathlib, sys
from harness.process import started
async def main():
    with started("sleeper", ("sleep", "60"), folder=pathlib.Path(sys.argv[1])) as program:
        print(program.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", harness, tmp_path),
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    process.kill()
    await process.wait()
    await eventually_async(lambda: _dead(pid), seconds=2)


async def _dead(pid: int) -> bool:
    return _state(pid) in ("", "Z")


def _state(pid: int) -> str:
    """Return a process' state as the kernel says it (proc(5)): Z for one that is dead and not yet buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


def test_a_protection_that_is_no_more_where_it_was_cannot_be_taken_out_silently() -> None:
    class Protected:
        def protect(self) -> None:
            """Do so."""

    put(Protected, "protect", None)
    with pytest.raises(LookupError, match="no longer has 'guard'"):
        put(Protected, "guard", None)
