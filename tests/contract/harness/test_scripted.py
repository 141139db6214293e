"""The scripted upstream answers every provider type that has an upstream, at the paths of its wire."""

import pytest

from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_contract.report import Dependency, State
from harness.net import LOOPBACK, serving
from harness.upstream.catalogue import ask, catalogue_of, config_of, provider_of
from harness.upstream.ledger import Ledger
from harness.upstream.script import Script
from harness.upstream.scripted import upstream_app
from harness.upstream.wires import WIRES, Wire


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.name)
async def test_every_wire_has_its_routes(wire: Wire) -> None:
    script = Script("k", 5)
    async with (
        serving(upstream_app(Ledger())) as port,
        catalogue_of(config_of(provider_of(wire, f"http://{LOOPBACK}:{port}"))) as catalogue,
    ):
        outcome = await ask(catalogue.provider("default"), ChatRequest("default", (Message("user", script.question),)))
        assert await catalogue.check() == {"up": Dependency(state=State.UP)}
    assert (outcome.error, outcome.text) == (None, script.answer)
