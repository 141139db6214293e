"""Embeddings are counted as answers are."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from chatfleet_api.chat.accounting import Accounting
from chatfleet_api.chat.embeddings import Embeddings
from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.principal import Principal
from chatfleet_api.limits.limiter import Limiter
from chatfleet_api.limits.terms import Terms
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.vectors import EmbeddingModel, EmbeddingRequest
from chatfleet_api.usage.attempts import Attempt, ended
from chatfleet_api.usage.memory_ledger import MemoryLedger
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_api.usage.record import Row
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
from chatfleet_contract.spec import Limits
from chatfleet_contract.spec.limits import Budget, Budgets
from chatfleet_contract.spec.provider_types import ProviderType
from chatfleet_contract.spec.providers import Model
from harness.pods.live import fixed

CONFIG = RuntimeConfig(
    deployment="d",
    namespace="n",
    providers=(RuntimeProvider(name="p", type=ProviderType.OPENAI),),
    models=(Model(name="m", provider="p", model="text-embedding-3-small"),),
)


class Maker:
    """Makes embeddings, and is its own catalogue."""

    space = ""
    error: ChatError | None = None

    def embedding(self, model: str) -> EmbeddingModel:
        assert model == "m"
        return self

    async def create(self, request: EmbeddingRequest) -> bytes:  # noqa: ARG002  # the port's
        if self.error is not None:
            raise self.error
        ended(Attempt("p", "m", "text-embedding-3-small", Usage(1000)))
        return b"{}"


NOW = datetime(2026, 11, 28, tzinfo=UTC)
CALLER = Principal("acme", subject="key:web", user="ann")
THOUSAND = EmbeddingRequest("m", {"input": "x" * 3998}, "float")


def accounting(ledger: MemoryLedger) -> Accounting:
    return Accounting(ledger=ledger, prices=fixed(PriceBook.of(CONFIG)), now=lambda: NOW, meter=Meter("tests"))


async def test_embeddings_are_limited_by_what_they_may_cost_and_charged_with_what_they_cost() -> None:
    limits = Limits(budgets=Budgets(per_tenant=Budget(usd_per_day="0.00005")))  # 0.00002 for a thousand tokens
    terms = Terms(fixed(limits), fixed({}), fixed(PriceBook.of(CONFIG)), lambda: NOW)
    limiter = Limiter(terms, None, pods=lambda: 1, clock=lambda: 0.0, new_id=iter("abcdefgh").__next__)
    maker = Maker()
    service = Embeddings(fixed(maker), accounting(MemoryLedger()), limiter, lambda: "r")
    maker.error = ChatError(Code.UPSTREAM_REJECTED)
    for _ in range(3):
        with pytest.raises(ChatError, match="upstream_rejected"):
            await service.create(CALLER, THOUSAND)
    maker.error = None
    for _ in range(2):
        assert await service.create(CALLER, THOUSAND) == b"{}"
    with pytest.raises(ChatError, match=r"has 0\.00001 USD left, and the request may use 0\.00002 USD"):
        await service.create(CALLER, THOUSAND)


async def test_embeddings_are_counted_for_their_caller_with_their_cost() -> None:
    ledger = MemoryLedger()
    service = Embeddings(fixed(Maker()), accounting(ledger), None, lambda: "r")
    assert await service.create(CALLER, EmbeddingRequest("m", {}, "float")) == b"{}"
    [sums] = await ledger.days("acme", ["2026-11-28"])
    [(row, counters)] = sums.items()
    assert row == Row("p", "m", "text-embedding-3-small", "key:web", "ann")
    assert (counters["requests"], counters["input_tokens"]) == (1, 1000)
    assert Decimal(counters["cost"]).scaleb(-12) == Decimal("0.00002")
