"""The issuer of examples/10-jwt and its ChatDeployment accept each other."""

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from chatfleet_api.identity.discovery import fetch_keys
from chatfleet_api.identity.issuer_keys import IssuerKeys
from chatfleet_api.identity.jose import peek
from chatfleet_api.identity.jwt import JWTVerifier
from chatfleet_contract.spec import ChatDeploymentSpec
from harness.net import LOOPBACK, LOOPBACK_EGRESS, free_port, is_open
from harness.pods.live import fixed
from harness.polling import eventually
from harness.process import started

EXAMPLE = Path(__file__).parents[4] / "examples" / "10-jwt"


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    url = f"http://{LOOPBACK}:{port}"
    with started("issuer", [sys.executable, EXAMPLE / "issuer.py", str(port), url], folder=tmp_path):
        eventually(lambda: is_open(port))
        yield url


def requested(url: str) -> bytes:
    with urlopen(url) as answer:  # noqa: S310  # that of the example, on this machine
        body: bytes = answer.read()
        return body


def nothing() -> None:
    """Stand for what follows from other keys."""


async def test_a_token_of_the_example_is_accepted(issuer: str) -> None:
    spec = ChatDeploymentSpec.model_validate(yaml.safe_load((EXAMPLE / "chatdeployment.yaml").read_text())["spec"])
    settings = spec.access.jwt[0].model_copy(update={"issuer": issuer})
    keys = IssuerKeys(
        issuer, lambda: fetch_keys(settings, fixed(LOOPBACK_EGRESS)), clock=time.monotonic, on_change=nothing
    )
    token = await asyncio.to_thread(requested, f"{issuer}/token?org=mill&sub=bob")
    about = peek(token)
    assert about is not None
    found = await JWTVerifier(settings, keys).verify(token, about, time.time())

    assert (found.principal.tenant, found.principal.user) == ("mill", "bob")
