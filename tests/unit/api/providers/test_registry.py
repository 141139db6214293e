"""The order of the policies in front of an upstream, and the defaults of a model."""

from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.providers.registry import WithDefaults
from chatfleet_contract.spec.providers import Model, Parameters
from harness.pods.runs import STOP, FakeProvider
from harness.upstream.catalogue import ask


async def sent(model: Model, request: ChatRequest) -> ChatRequest:
    upstream = FakeProvider([STOP])
    await ask(WithDefaults(upstream, model), request)
    return upstream.asked[0]


async def test_defaults_stand_in_for_what_a_request_does_not_set() -> None:
    model = Model(
        name="a", provider="s", model="vendors-name", parameters=Parameters(temperature=0.5, top_p=0.9, max_tokens=7)
    )
    request = ChatRequest("a", (), temperature=0.0)
    assert await sent(model, request) == ChatRequest("vendors-name", (), temperature=0.0, top_p=0.9, max_tokens=7)
    plain = Model(name="a", provider="s", model="x")
    assert await sent(plain, request) == ChatRequest("x", (), temperature=0.0)
