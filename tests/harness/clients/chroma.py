"""A real ChromaDB server: the one in the package `chromadb`, without what its Python client would need."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from harness.clients.toolchains import build
from harness.net import LOOPBACK, free_port, is_open
from harness.process import Program, await_ready, started

_RUN = "import sys, chromadb_rust_bindings as chroma; chroma.cli(['chroma', *sys.argv[1:]])"
COLLECTIONS = "/api/v2/tenants/default_tenant/databases/default_database/collections"


def install_chroma(requirements: Path, folder: Path) -> Path:
    """Install the server into `folder`, which it has for itself, and return it."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
    target = ("--no-deps", "--target", str(folder), "--require-hashes", "-r", requirements.name)
    build(*pip, *target, folder=requirements.parent)
    return folder


@contextmanager
def chroma_server(packages: Path, data: Path, port: int | None = None) -> Iterator[tuple[str, Program]]:
    """Yield the URL and the process of a server that keeps its data in `data`."""
    port = port or free_port()
    data.mkdir(exist_ok=True)
    options = ("--path", str(data), "--host", LOOPBACK, "--port", str(port))
    command = (sys.executable, "-c", _RUN, "run", *options)
    with started("chroma", command, folder=data, environment={"PYTHONPATH": str(packages)}) as server:
        await_ready(server, lambda: is_open(port))
        yield f"http://{LOOPBACK}:{port}", server


def chroma_request(url: str, body: object = None, method: str | None = None) -> Any:  # noqa: ANN401  # JSON
    """Return what the server responds."""
    content = None if body is None else json.dumps(body).encode()
    request = Request(url, content, {"Content-Type": "application/json"}, method=method)  # noqa: S310  # of loopback
    with urlopen(request, timeout=10) as response:  # noqa: S310
        return json.load(response)


def fill(url: str, name: str, records: dict[str, tuple[str, list[float]]], space: str = "cosine") -> None:
    """Make a collection of documents and their vectors, by source."""
    configuration = {"hnsw": {"space": space}}
    made = chroma_request(f"{url}{COLLECTIONS}", {"name": name, "configuration": configuration})
    texts, vectors = zip(*records.values(), strict=True)
    rows = {"ids": [f"id-{source}" for source in records], "documents": texts, "embeddings": vectors}
    metadatas = [{"source": source, "chunk": number} for number, source in enumerate(records, 1)]
    chroma_request(f"{url}{COLLECTIONS}/{made['id']}/add", {**rows, "metadatas": metadatas})
