"""Connections to upstreams over real sockets: kept, given up, and encrypted to whom they are meant for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chatfleet_api.domain.errors import Code
from chatfleet_api.http import pool as connections
from chatfleet_api.http.egress.trust import Trust, TrustError, tls_context
from harness.net import LOOPBACK
from harness.polling import eventually_async
from harness.tls import certificate, encrypting
from harness.upstream.catalogue import Outcome, ask, catalogue_of, config_of, provider_of
from harness.upstream.fake import FakeUpstream, Reply, fake_upstream
from harness.upstream.wires import WORDS, OpenAIWire, answering, whole

WIRE = OpenAIWire()


async def asked(url: str, times: int = 1, *, ca_bundle: Path | None = None) -> list[Outcome]:
    """Ask an upstream so often, one after another, trusting `ca_bundle`."""
    config = config_of(provider_of(WIRE, url))
    settings = config.egress.model_copy(update={"ca_bundle_file": ca_bundle and str(ca_bundle)})
    async with catalogue_of(config.model_copy(update={"egress": settings})) as catalogue:
        return [await ask(catalogue.provider("default")) for _ in range(times)]


async def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    async def closing(reply: Reply) -> None:
        await reply.head(Connection="close")
        await reply.send(*whole(WIRE))
        await reply.end()

    async with fake_upstream(closing) as upstream:
        outcomes = await asked(upstream.url, times=3)
        assert [outcome.text for outcome in outcomes] == ["".join(WORDS)] * 3
        assert upstream.connections == 3


async def test_a_reused_connection_that_the_server_closes_is_replaced_at_once() -> None:
    async def closed(reply: Reply) -> None:
        reply.cut()

    async with fake_upstream(answering(WIRE)) as upstream:
        upstream.answers(answering(WIRE), closed, answering(WIRE))
        provider = provider_of(WIRE, upstream.url, retries={"max": 0})
        async with catalogue_of(config_of(provider)) as catalogue:
            outcomes = [await ask(catalogue.provider("default")) for _ in range(2)]
        assert [outcome.text for outcome in outcomes] == ["".join(WORDS)] * 2
        assert (len(upstream.requests), upstream.connections) == (3, 2)


async def test_a_new_connection_that_the_server_closes_is_not_replaced() -> None:
    async def closed(reply: Reply) -> None:
        reply.cut()

    async with fake_upstream(closed) as upstream:
        provider = provider_of(WIRE, upstream.url, retries={"max": 0})
        async with catalogue_of(config_of(provider)) as catalogue:
            assert (await ask(catalogue.provider("default"))).code is Code.UPSTREAM_UNAVAILABLE
        assert len(upstream.requests) == 1


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async def old(reply: Reply) -> None:
        await reply.raw(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + b"".join(whole(WIRE)))

    async with fake_upstream(old) as upstream:
        (outcome,) = await asked(upstream.url)
        assert outcome.text == "".join(WORDS)


async def test_a_connection_that_nobody_uses_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.05)
    async with (
        fake_upstream(answering(WIRE)) as upstream,
        catalogue_of(config_of(provider_of(WIRE, upstream.url))) as catalogue,
    ):
        await ask(catalogue.provider("default"))
        assert upstream.open == 1
        await eventually_async(lambda: not upstream.open, seconds=3)  # less than the usual four


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Path]:
    """A certificate for 127.0.0.1 with its key, in one file; what is trusted is forgotten afterwards."""
    file = certificate(tmp_path)
    tls_context.cache_clear()
    yield file
    tls_context.cache_clear()


async def encrypted(upstream: FakeUpstream, file: Path, host: str, bundle: Path | None = None) -> Outcome:
    """Ask `upstream` through a server that encrypts, by the name `host`."""
    async with encrypting(upstream.serve, file) as port:
        (outcome,) = await asked(f"https://{host}:{port}", ca_bundle=bundle)
    return outcome


async def test_who_is_trusted_is_asked(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    async with fake_upstream(answering(WIRE)) as upstream:
        assert (await encrypted(upstream, authority, "127.0.0.1")).text == "".join(WORDS)


async def test_who_is_not_trusted_hears_nothing(authority: Path) -> None:
    async with fake_upstream(answering(WIRE)) as upstream:
        assert (await encrypted(upstream, authority, "127.0.0.1")).code is Code.UPSTREAM_UNAVAILABLE
        assert not upstream.requests


async def test_who_has_another_name_hears_nothing_either(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    async with fake_upstream(answering(WIRE)) as upstream:
        assert (await encrypted(upstream, authority, "localhost")).code is Code.UPSTREAM_UNAVAILABLE
        assert not upstream.requests


async def test_the_ca_bundle_is_trusted_besides_the_system(authority: Path) -> None:
    async with fake_upstream(answering(WIRE)) as upstream:
        assert (await encrypted(upstream, authority, LOOPBACK, authority)).text == "".join(WORDS)
        assert (await encrypted(upstream, authority, "localhost", authority)).code is Code.UPSTREAM_UNAVAILABLE
        assert len(upstream.requests) == 1


@pytest.mark.parametrize(("text", "reason"), [(None, "cannot be read"), ("no PEM", "has no certificate in PEM")])
async def test_a_ca_bundle_that_cannot_be_used_is_named(authority: Path, text: str | None, reason: str) -> None:
    bundle = authority.with_name("bundle.pem")
    if text is not None:
        bundle.write_text(text)
    async with fake_upstream(answering(WIRE)) as upstream:
        error = (await encrypted(upstream, authority, LOOPBACK, bundle)).error
        assert error
        assert f"the CA bundle {bundle} {reason}; correct egress.caBundleRef" in str(error.detail)


def test_a_ca_bundle_that_changes_is_read_again(authority: Path) -> None:
    trust = Trust(authority)
    context = trust.context()
    assert trust.context() is context
    authority.write_bytes(authority.read_bytes() + b"\n")
    assert trust.context() is not context
    authority.unlink()
    with pytest.raises(TrustError):
        trust.context()
    assert Trust().context() is tls_context()
