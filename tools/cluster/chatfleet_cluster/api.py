"""The few requests that this tool sends to an API server itself."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TIMEOUT = 5.0
"""Seconds for one request."""


class Api:
    """A client of an API server, as administrator with the certificates of a folder."""

    def __init__(self, server: str, pki: Path) -> None:
        self._server = server
        tls = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        tls.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        no_proxy = urllib.request.ProxyHandler({})
        self._opener = urllib.request.build_opener(no_proxy, urllib.request.HTTPSHandler(context=tls))

    def answers(self, path: str) -> bool:
        """Whether a GET of `path` succeeds."""
        return self._open(path) is not None

    def version(self) -> str:
        """The server's version, such as `v1.36.3`; empty while it does not answer."""
        return str(self._read("/version").get("gitVersion", ""))

    def node_ready(self, name: str) -> bool:
        """Whether the node exists and its condition Ready is true."""
        conditions = self._read(f"/api/v1/nodes/{name}").get("status", {}).get("conditions", [])
        return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

    def apply(self, path: str, manifest: Mapping[str, Any]) -> bool:
        """Apply `manifest` to the object at `path`; return whether the server accepted it."""
        return (
            self._open(f"{path}?fieldManager=chatfleet-cluster&force=true", json.dumps(manifest).encode()) is not None
        )

    def _read(self, path: str) -> dict[str, Any]:
        body = self._open(path)
        answer: dict[str, Any] = json.loads(body) if body else {}
        return answer

    def _open(self, path: str, patch: bytes | None = None) -> bytes | None:
        request = urllib.request.Request(  # noqa: S310 - the address is our own
            self._server + path,
            data=patch,
            method="PATCH" if patch else "GET",
            headers={"Content-Type": "application/apply-patch+yaml"} if patch else {},
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                content: bytes = response.read()
                return content
        except (urllib.error.URLError, OSError):  # does not answer, or not yet
            return None


def http_answers(url: str) -> bool:
    """Whether a plain GET of `url` succeeds."""
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=TIMEOUT):
            return True
    except (urllib.error.URLError, OSError):
        return False
