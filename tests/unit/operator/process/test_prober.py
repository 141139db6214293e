"""What pods and Services answer, over real HTTP on a Unix socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from chatfleet_contract import names
from chatfleet_operator.model.values import ProbeResult
from chatfleet_operator.process import prober as probe
from chatfleet_operator.process.prober import HttpProber, direct
from harness.kube.operated_cluster import pod_report

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MODELS = {"object": "list", "data": [{"id": "default", "object": "model"}, {"id": "spare"}]}


@asynccontextmanager
async def prober(tmp_path: Path, handler: Handler) -> AsyncIterator[HttpProber]:
    """Serve `handler` for every path, and probe it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    socket = str(tmp_path / "pod.sock")
    await web.UnixSite(runner, socket).start()
    connector = aiohttp.UnixConnector(socket, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=0.2)) as session:
        yield HttpProber(session, locate=lambda host, port: f"http://{host}.test:{port}")
    await runner.cleanup()


async def hang(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


async def redirect(_request: web.Request) -> web.Response:
    return web.Response(status=302, headers={"Location": "http://elsewhere.test/"})


async def garbage(_request: web.Request) -> web.Response:
    return web.Response(text="<html>")


async def huge(_request: web.Request) -> web.Response:
    return web.Response(body=b"x" * 5000)


async def test_the_report_of_a_pod_is_read(tmp_path: Path) -> None:
    asked = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(f"{request.host}{request.path}")
        return web.json_response(pod_report("pod-0", "abc").document())

    async with prober(tmp_path, handler) as it:
        assert await it.report("pod") == pod_report("pod-0", "abc")
    assert asked == [f"pod.test:{names.PORT_HEALTH}/health"]


async def test_a_report_counts_also_when_the_pod_calls_itself_unwell(tmp_path: Path) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(pod_report("pod-0", "abc").document(), status=503)

    async with prober(tmp_path, handler) as it:
        assert await it.report("pod") == pod_report("pod-0", "abc")


@pytest.mark.parametrize("handler", [hang, redirect, garbage, huge])
async def test_a_pod_without_a_valid_report_in_time_has_none(
    tmp_path: Path, handler: Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBE_BYTES", 4000)
    async with prober(tmp_path, handler) as it:
        assert await it.report("pod") is None


async def test_a_probe_returns_the_models_and_the_configuration_that_served_it(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.Response:
        assert (request.path, request.host) == ("/v1/models", "service.test:8080")
        assert request.headers[names.HEADER_PROBE] == "t"
        return web.json_response(MODELS, headers={names.HEADER_CONFIG: "abc"})

    async with prober(tmp_path, handler) as it:
        assert await it.probe("service", 8080, token="t") == ProbeResult(frozenset({"default", "spare"}), "abc")


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (hang, "no response within 2 s"),
        (redirect, "HTTP 302"),
        (garbage, "the response is not a list of models"),
        (huge, "the response is longer than 4000 bytes"),
    ],
)
async def test_every_other_answer_is_a_problem_in_words(
    tmp_path: Path, handler: Handler, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBE_BYTES", 4000)
    async with prober(tmp_path, handler) as it:
        assert await it.probe("service", 80, token="t") == ProbeResult(problem=problem)


async def test_nobody_there_is_a_problem_too(tmp_path: Path) -> None:
    connector = aiohttp.UnixConnector(str(tmp_path / "nobody.sock"))
    async with aiohttp.ClientSession(connector=connector) as session:
        it = HttpProber(session, locate=lambda *_: "http://service.test")

        assert (await it.probe("service", 80, token="t")).problem
        assert await it.report("pod") is None


@pytest.mark.parametrize(
    ("host", "url"), [("192.0.2.1", "http://192.0.2.1:80"), ("2001:db8::1", "http://[2001:db8::1]:80")]
)
def test_addresses_of_both_families_become_urls(host: str, url: str) -> None:
    assert direct(host, 80) == url


async def test_probes_end_in_time_keep_no_cookie_and_no_connection() -> None:
    async with probe.open_session() as session:
        assert session.timeout.total == probe.PROBE_SECONDS
        assert session.connector
        assert session.connector.force_close
        assert not session.trust_env
        assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)
