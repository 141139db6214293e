"""A scripted upstream: speaks the wire formats of the vendors, plays the script in the question, and keeps a ledger.

As a process: `python -m harness.upstream.scripted PORT`; `POST /ledger` with a list of keys
then tells the calls for these questions.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import msgspec
import uvloop
from aiohttp import web

from harness.net import reset, serving
from harness.upstream import prerendered
from harness.upstream.ledger import Call, Ledger
from harness.upstream.playback import NOTHING, Playback, playback_of
from harness.upstream.wire_formats import WireFormat, format_of
from harness.upstream.wires import WIRES

MAX_BODY_BYTES = 16 << 20
"""Room for questions with long keys, and for the keys of thousands of questions."""


def upstream_app(ledger: Ledger) -> web.Application:
    """Return the upstream as an application that writes into `ledger`."""
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    formats = {wire.base_path + wire.path: format_of(wire) for wire in WIRES}  # vendors that write alike share paths
    app.add_routes(web.post(path, _answering(wire_format, ledger)) for path, wire_format in formats.items())
    app.add_routes(web.get(path, _models) for path in {wire.base_path + wire.models_path for wire in WIRES})
    app.add_routes([web.post("/ledger", _telling(ledger))])
    return app


def _answering(wire_format: WireFormat, ledger: Ledger) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(http: web.Request) -> web.StreamResponse:
        try:
            request = wire_format.request(await http.read(), http.match_info.get("model", ""))
            script, performance = playback_of(wire_format, request, ledger.attempts)
        except ValueError as error:
            return web.Response(
                status=400, body=wire_format.error_body(400, str(error)), content_type="application/json"
            )
        call = ledger.begin(script.key, monotonic())
        call.model, call.after = request.model, len(wire_format.prefix(request))
        try:
            response = await _play(http, performance, call)
        except (asyncio.CancelledError, ConnectionError):
            call.end("closed", monotonic())
            raise
        call.end("fault", monotonic())
        return response

    return answer


async def _play(http: web.Request, performance: Playback, call: Call) -> web.StreamResponse:
    if performance is NOTHING:
        await asyncio.Event().wait()
    headers = {"Content-Type": performance.content_type}
    if performance.retry_after is not None:
        headers["Retry-After"] = performance.retry_after
    response = web.StreamResponse(status=performance.status, headers=headers)
    response.enable_chunked_encoding()
    await response.prepare(http)
    for step in performance.steps:
        if step.pause:
            await asyncio.sleep(step.pause)
        await response.write(step.data)
        call.tokens += step.tokens
    if performance.whole:
        call.end("whole", monotonic())  # before the client can have read it and asked the ledger
    await _end(http, response, performance)
    return response


async def _end(http: web.Request, response: web.StreamResponse, performance: Playback) -> None:
    match performance.ending:
        case "end":
            await response.write_eof()
        case "hang":
            await asyncio.Event().wait()
        case "cut" if http.transport:
            http.transport.close()
        case "reset" if http.transport:
            reset(http.transport)


async def _models(_: web.Request) -> web.Response:
    return web.json_response({"object": "list", "data": [], "has_more": False})


def _telling(ledger: Ledger) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def tell(http: web.Request) -> web.Response:
        keys = msgspec.json.decode(await http.read(), type=list[str])
        return web.Response(body=msgspec.json.encode(ledger.calls(keys)), content_type="application/json")

    return tell


async def _serve(port: int) -> None:
    async with serving(upstream_app(Ledger()), port=port):
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--prerendered", action="store_true", help="stream prepared bytes, for benchmarks")
    given = parser.parse_args()
    if given.prerendered:
        uvloop.run(prerendered.serve(given.port))
    else:
        asyncio.run(_serve(given.port))


if __name__ == "__main__":
    main()
