"""A real OpenTelemetry collector: what it has received over OTLP, as it writes it to a file."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from chatfleet_cluster import binaries
from chatfleet_cluster.progress import Progress
from harness.net import LOOPBACK, free_port, is_open
from harness.process import Program, await_ready, started

CONFIG = """\
receivers: {{otlp: {{protocols: {{http: {{endpoint: "{address}"}}}}}}}}
exporters: {{file: {{path: "{file}", flush_interval: 100ms}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [file]}}}}
"""


@dataclass(frozen=True)
class Received:
    """A span, as the collector has it."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]
    """Trace and span of each."""
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    failed: bool


@dataclass(frozen=True)
class Collector:
    """A running collector."""

    program: Program
    port: int
    file: Path

    @property
    def endpoint(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def text(self) -> str:
        """All that it has written."""
        return self.file.read_text() if self.file.exists() else ""

    def spans(self) -> list[Received]:
        """Return what has come so far."""
        whole = [line for line in self.text.splitlines(keepends=True) if line.endswith("\n")]
        return [
            _received(span, _plain(resource["resource"]))
            for line in whole
            for resource in json.loads(line)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def named(self, name: str) -> list[Received]:
        return [span for span in self.spans() if span.name == name]


@contextmanager
def collector(folder: Path, port: int | None = None) -> Iterator[Collector]:
    """Run a collector until the block ends; the first one on this machine is built before."""
    programs = binaries.ensure(("otel-collector",), os.environ, Progress(Console(stderr=True)))
    port, file = port or free_port(), folder / "spans.json"
    config = folder / "collector.yaml"
    config.write_text(CONFIG.format(address=f"{LOOPBACK}:{port}", file=file))
    command = (str(programs["otel-collector"]), f"--config=file:{config}")
    with started("otel-collector", command, folder=folder) as program:
        await_ready(program, lambda: is_open(port))
        yield Collector(program, port, file)


def _received(span: Mapping[str, Any], resource: Mapping[str, Any]) -> Received:
    return Received(
        name=span["name"],
        kind=span["kind"],
        trace=span["traceId"],
        id=span["spanId"],
        parent=span.get("parentSpanId", ""),
        links=tuple((link["traceId"], link["spanId"]) for link in span.get("links", ())),
        attributes=_plain(span),
        resource=resource,
        failed=span.get("status", {}).get("code") == 2,
    )


def _plain(holder: Mapping[str, Any]) -> dict[str, Any]:
    return {each["key"]: _value(each["value"]) for each in holder.get("attributes", ())}


def _value(value: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
    match value:
        case {"intValue": number}:
            return int(number)
        case {"arrayValue": {"values": values}}:
            return [_value(each) for each in values]
        case _:
            return next(iter(value.values()))
