"""`ports.Prober` over HTTP: the reports of pods, and one real request through the Service.

No redirect is followed and no proxy used: a pod cannot direct the operator elsewhere.
"""

from collections.abc import Callable
from typing import Final

import aiohttp
from pydantic import BaseModel, ValidationError

from chatfleet_contract import names
from chatfleet_contract.report import PodReport
from chatfleet_operator.model.errors import truncate
from chatfleet_operator.model.pod_report import parse_report
from chatfleet_operator.model.values import ProbeResult

PROBE_SECONDS: Final = 2.0
"""Timeout of a probe."""

PROBE_BYTES: Final = 1 << 20
"""Limit of a response, so that a pod cannot fill the operator's memory."""

CONNECTIONS: Final = 64

Locate = Callable[[str, int], str]
"""From an address in the cluster and a port to the URL by which this process reaches it."""


def direct(host: str, port: int) -> str:
    """Return the URL of `host` itself: the operator reaches the pods' network."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _ModelName(BaseModel):
    id: str


class _ModelList(BaseModel):
    data: list[_ModelName]


class HttpProber:
    def __init__(self, session: aiohttp.ClientSession, locate: Locate = direct) -> None:
        self._session = session
        self._locate = locate

    async def report(self, ip: str) -> PodReport | None:
        try:
            async with self._session.get(
                f"{self._locate(ip, names.PORT_HEALTH)}{names.PATH_HEALTH}", allow_redirects=False
            ) as response:
                return parse_report(await read_body(response, PROBE_BYTES))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    async def probe(self, address: str, port: int, *, token: str) -> ProbeResult:
        """Request the list of models, as any client would, with the credential of the operator."""
        url, headers = f"{self._locate(address, port)}/v1/models", {names.HEADER_PROBE: token}
        try:
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                body = await read_body(response, PROBE_BYTES)
                if response.status != 200:  # noqa: PLR2004
                    return ProbeResult(problem=f"HTTP {response.status}")
                listed = _ModelList.model_validate_json(body)
                return ProbeResult(
                    frozenset(model.id for model in listed.data), response.headers.get(names.HEADER_CONFIG)
                )
        except ValidationError:
            return ProbeResult(problem="the response is not a list of models")
        except TimeoutError:
            return ProbeResult(problem=f"no response within {PROBE_SECONDS:.0f} s")
        except (aiohttp.ClientError, OSError) as error:
            return ProbeResult(problem=truncate(str(error) or type(error).__name__))


async def read_body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the body of `response`; one longer than `most` bytes is an error of its payload."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > most:
            raise aiohttp.ClientPayloadError(f"the response is longer than {most} bytes")
    return bytes(body)


def open_session() -> aiohttp.ClientSession:
    """Return a session for probes: short timeouts, no proxy, and a new connection for every request.

    A connection kept alive would always lead to the same pod behind a Service.
    """
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True)
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
