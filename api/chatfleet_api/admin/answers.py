"""Answers of the admin port: JSON that no one stores."""

import msgspec
from fastapi import Response


def answer(body: msgspec.Struct, status: int = 200) -> Response:
    """Return the response with `body`."""
    return Response(msgspec.json.encode(body), status, {"cache-control": "no-store"}, "application/json")
