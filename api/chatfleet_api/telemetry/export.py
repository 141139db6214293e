"""Brings ended spans to the collector, over OTLP in HTTP, in batches, from a thread with an event loop of its own.

Nothing waits for it: a span that ends is put into a queue, and dropped when that is full. While the collector does not
answer, a batch is sent again after growing pauses; one line of log is about the failure, and one about its end.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from typing_extensions import override

from chatfleet_api.http.connection import BrokenError
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress
from chatfleet_api.http.pool import ConnectionPool

MAX_QUEUE: Final = 4096
"""Spans that wait, about 8 MB: at 300 answers a second, some seconds without a collector."""
MAX_BATCH: Final = 128
"""Spans that are encoded at once, in about 5 ms: as long as Python lets one thread keep another waiting anyway."""
DELAY_SECONDS: Final = 1.0
"""Longest that a span waits for others."""
TIMEOUT_SECONDS: Final = 5.0
MAX_PAUSE_SECONDS: Final = 30.0
_TRANSIENT: Final = frozenset({429, 502, 503, 504})
"""Statuses after which the same batch may be accepted, as the specification of OTLP has it."""

logger = logging.getLogger(__name__)


class CollectorError(Exception):
    """The collector did not take a batch."""

    def __init__(self, reason: str, *, transient: bool) -> None:
        super().__init__(reason)
        self.transient = transient


class SpanExport(SpanProcessor):
    """The queue, and the thread that empties it. Any thread may read the counters."""

    def __init__(self, endpoint: str, egress: Egress) -> None:
        """Send to the collector at `endpoint`, as `egress` allows."""
        self.exported = 0
        self.dropped = 0
        self._endpoint = endpoint.rstrip("/")
        self._egress = egress
        self._queue: deque[ReadableSpan] = deque()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    @override
    def on_end(self, span: ReadableSpan) -> None:
        if not span.context or not span.context.trace_flags.sampled:
            return
        if len(self._queue) >= MAX_QUEUE:
            self.dropped += 1
            return
        self._queue.append(span)
        if len(self._queue) >= MAX_BATCH:
            self._wake.set()

    def close(self, seconds: float) -> None:
        """Send what is left, within `seconds`. Blocks."""
        self._closed.set()
        self._wake.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._export_until_closed())

    async def _export_until_closed(self) -> None:
        connections = ConnectionPool(Dialer(self._egress))
        try:
            while not self._closed.is_set():
                self._wait(DELAY_SECONDS)
                while self._queue and await self._export(connections, self._take()):
                    pass
        finally:
            self.dropped += len(self._queue)
            self._queue.clear()
            connections.close()

    def _wait(self, seconds: float) -> None:
        """Wait until there is a batch, or for `seconds`. This thread has nothing else to do meanwhile."""
        self._wake.wait(seconds)
        self._wake.clear()

    def _take(self) -> Sequence[ReadableSpan]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]

    async def _export(self, connections: ConnectionPool, batch: Sequence[ReadableSpan]) -> bool:
        """Send a batch, as often as it takes, or drop it; return whether the collector answers."""
        body = encode_spans(batch).SerializeToString()
        pause = DELAY_SECONDS
        while True:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await self._send(connections, body)
            except (CollectorError, TimeoutError, OSError, BrokenError) as error:
                self._failed(error)
                if self._closed.is_set() or (isinstance(error, CollectorError) and not error.transient):
                    self.dropped += len(batch)
                    return False
            else:
                self._succeeded(len(batch))
                return True
            self._closed.wait(pause)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    async def _send(self, connections: ConnectionPool, body: bytes) -> None:
        headers = {"Content-Type": "application/x-protobuf", "User-Agent": "chatfleet"}
        url = f"{self._endpoint}/v1/traces"
        response = await connections.request("POST", url, headers, body, connect_seconds=TIMEOUT_SECONDS)
        try:
            while await response.read():
                pass
            if response.status != HTTPStatus.OK:
                raise CollectorError(f"it answers {response.status}", transient=response.status in _TRANSIENT)
        finally:
            connections.release(response)

    def _failed(self, error: Exception) -> None:
        if not self._failing:
            reason = str(error) or type(error).__name__
            logger.warning("Failed to export traces to %s, and trying again: %s", self._endpoint, reason)
        self._failing = True

    def _succeeded(self, count: int) -> None:
        self.exported += count
        if self._failing:
            logger.info("Exporting traces to %s again, %d spans were dropped meanwhile", self._endpoint, self.dropped)
        self._failing = False
