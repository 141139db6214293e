"""Requests byte by byte, as no client library sends them."""

import socket
from http.client import HTTPResponse


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def rest(client: socket.socket) -> bytes:
    """Return what comes until the server closes; raises `ConnectionResetError` when the connection breaks."""
    parts = []
    while part := client.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def response(client: socket.socket) -> tuple[HTTPResponse, bytes]:
    """Return the next response and its body; the connection stays open."""
    came = HTTPResponse(client)
    came.begin()
    return came, came.read()


def exchange(port: int, request: bytes) -> bytes:
    """Send `request`, and return what comes until the server closes."""
    with connect(port) as client:
        client.sendall(request)
        return rest(client)
