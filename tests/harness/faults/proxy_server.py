"""The fault proxy as a process: `python -m harness.faults.proxy_server PORT TO_PORT CONTROL_PORT`.

On the control port, `PUT /faults` takes `Faults` as JSON, and `POST /reset` and `POST /half-close` act upon the
connections that are open.
"""

import argparse
import asyncio

import msgspec
from aiohttp import web

from harness.faults.proxy import Proxy
from harness.faults.toxics import Faults
from harness.net import serving


def control_app(proxy: Proxy) -> web.Application:
    """Return what switches a proxy's faults over HTTP."""

    async def set_faults(request: web.Request) -> web.Response:
        try:
            faults = msgspec.json.decode(await request.read(), type=Faults)
        except msgspec.ValidationError as error:
            raise web.HTTPBadRequest(text=f"the body must be the faults as JSON: {error}") from error
        await proxy.set(faults)
        return web.Response(body=msgspec.json.encode(proxy.faults))

    async def reset_all(_: web.Request) -> web.Response:
        proxy.reset()
        return web.Response()

    async def half_close(_: web.Request) -> web.Response:
        proxy.half_close()
        return web.Response()

    app = web.Application()
    app.add_routes([web.put("/faults", set_faults), web.post("/reset", reset_all), web.post("/half-close", half_close)])
    return app


async def _serve(port: int, to: int, control: int) -> None:
    async with Proxy(to, port=port) as proxy, serving(control_app(proxy), port=control):
        await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("port", "to", "control"):
        parser.add_argument(name, type=int)
    asyncio.run(_serve(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
