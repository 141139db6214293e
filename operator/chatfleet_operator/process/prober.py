"""`ports.Prober` over HTTP: what pods tell about themselves, and one real request through the Service.

No redirect is followed and no proxy used: a pod cannot send the operator elsewhere.
"""

from collections.abc import Callable
from typing import Final

import aiohttp
from pydantic import BaseModel, ValidationError

from chatfleet_contract import names
from chatfleet_contract.report import PodReport
from chatfleet_operator.model.errors import truncate
from chatfleet_operator.model.values import ProbeResult

PROBE_SECONDS: Final = 2.0
"""A pod that takes longer has nothing to tell in time."""

PROBE_BYTES: Final = 1 << 20
"""More than any honest answer; a pod cannot fill the operator's memory."""

CONNECTIONS: Final = 64

Locate = Callable[[str, int], str]
"""From an address in the cluster and a port to the URL under which it is reached from here."""


def direct(host: str, port: int) -> str:
    """Return the URL of `host` itself: the operator stands where pods can be reached."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _ModelName(BaseModel):
    id: str


class _ModelList(BaseModel):
    data: list[_ModelName]


class HttpProber:
    """What pods and Services answer (see `ports.Prober`)."""

    def __init__(self, session: aiohttp.ClientSession, locate: Locate = direct) -> None:
        self._session = session
        self._locate = locate

    async def report(self, ip: str) -> PodReport | None:
        """Return what the pod at `ip` tells about itself; None: nothing that can be read."""
        try:
            async with self._session.get(
                f"{self._locate(ip, names.PORT_HEALTH)}/health", allow_redirects=False
            ) as response:
                return PodReport.model_validate_json(await read_body(response, PROBE_BYTES))
        except (aiohttp.ClientError, OSError, TimeoutError, ValidationError):
            return None

    async def probe(self, address: str, port: int) -> ProbeResult:
        """Ask the Service at `address` for its models, as any client would."""
        try:
            async with self._session.get(f"{self._locate(address, port)}/v1/models", allow_redirects=False) as response:
                body = await read_body(response, PROBE_BYTES)
                if response.status != 200:  # noqa: PLR2004
                    return ProbeResult(problem=f"HTTP {response.status}")
                listed = _ModelList.model_validate_json(body)
                return ProbeResult(
                    frozenset(model.id for model in listed.data), response.headers.get(names.HEADER_CONFIG)
                )
        except ValidationError:
            return ProbeResult(problem="the answer is not a list of models")
        except TimeoutError:
            return ProbeResult(problem=f"no answer within {PROBE_SECONDS:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            return ProbeResult(problem=truncate(str(error) or type(error).__name__))


async def read_body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body of `response`; one that is longer than `most` bytes counts as broken off."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            raise aiohttp.ClientPayloadError(f"the answer is longer than {most} bytes")
    return bytes(body)


def open_session() -> aiohttp.ClientSession:
    """Return a session for probing: short, never through a proxy, and a fresh connection for every request.

    A kept connection would always lead to the same pod behind a Service, and prove nothing about the others.
    """
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True)
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
