"""Checks look for the models by name where a vendor lists them, and never request an answer."""

import json

import pytest

from chatfleet_contract.report import Dependency, State
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.upstream.catalogue import ask, catalogue_of, config_of, provider_of
from harness.upstream.fake import FakeUpstream, Handler, Reply, fake_upstream
from harness.upstream.wires import AZURE, AZURE_V1, WIRES, Wire, answering, refusing, wire_of

UP = Dependency(state=State.UP)
NAMING = [wire_of(ProviderType.OPENAI), wire_of(ProviderType.ANTHROPIC)]
LISTING = [*NAMING, wire_of(ProviderType.OPENAI_COMPATIBLE)]
MODELS = [Model(name=name, provider="up", model=name) for name in ("here", "alias", "typo")]


def vendor(wire: Wire, *listed: str, aliases: tuple[str, ...] = ()) -> Handler:
    """Return the script of a vendor that lists models, has aliases of them, and answers."""
    names = json.dumps({"data": [{"id": name, "object": "model"} for name in listed]}).encode()

    async def script(reply: Reply) -> None:
        path = reply.request.path.partition("?")[0]
        if reply.request.method == "POST":
            await answering(wire)(reply)
        elif path.endswith(wire.models_path):
            await refusing(200, names)(reply)
        else:
            known = path.rpartition("/")[2] in (*listed, *aliases)
            await refusing(200 if known else 404)(reply)

    return script


def requested(upstream: FakeUpstream) -> list[str]:
    return [f"{request.method} {request.path.rpartition('/')[2]}" for request in upstream.requests]


@pytest.mark.parametrize("wire", NAMING, ids=lambda wire: wire.name)
async def test_a_model_that_the_vendor_does_not_have_is_down_before_any_request(wire: Wire) -> None:
    async with (
        fake_upstream(vendor(wire, "here", aliases=("alias",))) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url), models=MODELS)) as catalogue,
    ):
        assert await catalogue.check() == {"up": UP}
        (name, outcome), *rest = catalogue.outcomes().items()
        assert (name, outcome.provider, outcome.state, rest) == ("typo", "up", State.DOWN, [])
        assert outcome.message == "the provider has no model typo; correct the name of the model"
        upstream.requests.clear()
        upstream.answers(vendor(wire, "here", "typo"))
        assert await catalogue.check() == {"up": UP}
        assert catalogue.outcomes() == {}
        assert requested(upstream) == ["GET models"]


@pytest.mark.parametrize("wire", LISTING, ids=lambda wire: wire.name)
async def test_an_answer_counts_more_than_the_list(wire: Wire) -> None:
    async with (
        fake_upstream(vendor(wire, "here", "alias")) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url), models=MODELS)) as catalogue,
    ):
        await catalogue.check()
        await ask(catalogue.provider("typo"))
        assert await catalogue.check() == {"up": UP}
        assert {name: one.state for name, one in catalogue.outcomes().items()} == {"typo": State.UP}


async def test_a_server_that_may_accept_any_name_gets_a_note_until_a_request_shows_it() -> None:
    wire = wire_of(ProviderType.OPENAI_COMPATIBLE)
    async with (
        fake_upstream(vendor(wire, "here", "alias")) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url), models=MODELS)) as catalogue,
    ):
        seen = (await catalogue.check())["up"]
        assert (seen.state, catalogue.outcomes()) == (State.UP, {})
        assert "the list of models does not have typo" in (seen.message or "")
        upstream.answers(refusing(404, b'{"error": {"message": "no model typo"}}'))
        await ask(catalogue.provider("typo"))
        outcome = catalogue.outcomes()["typo"]
        assert (outcome.state, outcome.message) == (State.DOWN, "HTTP 404 : no model typo")


@pytest.mark.parametrize("wire", [AZURE, AZURE_V1], ids=lambda wire: wire.name)
async def test_names_of_deployments_are_not_sought_in_the_list_of_azure(wire: Wire) -> None:
    async with (
        fake_upstream(vendor(wire, "here")) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url), models=MODELS)) as catalogue,
    ):
        assert await catalogue.check() == {"up": UP}
        assert (catalogue.outcomes(), len(upstream.requests)) == ({}, 1)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"data": 1}', b'{"data": []}', b'{"data": [{"name": 1}]}'])
async def test_a_list_that_cannot_be_read_shows_nothing(body: bytes) -> None:
    for wire in LISTING:
        async with (
            fake_upstream(refusing(200, body)) as upstream,
            catalogue_of(config_of(provider_of(wire, upstream.url), models=MODELS)) as catalogue,
        ):
            assert await catalogue.check() == {"up": UP}
            assert (catalogue.outcomes(), len(upstream.requests)) == ({}, 1)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
async def test_no_check_requests_an_answer_and_their_number_is_bounded(wire: Wire) -> None:
    models = [Model(name=f"m-{n}", provider="up", model=f"m-{n}") for n in range(64)]
    async with (
        fake_upstream(vendor(wire, "here")) as upstream,
        catalogue_of(config_of(provider_of(wire, upstream.url), models=models)) as catalogue,
    ):
        await catalogue.check()
        assert {request.method for request in upstream.requests} == {"GET"}
        assert len(upstream.requests) <= 9
