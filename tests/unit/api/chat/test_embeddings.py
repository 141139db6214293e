"""Embeddings are counted as answers are."""

from datetime import UTC, datetime
from decimal import Decimal

from chatfleet_api.chat.accounting import Accounting
from chatfleet_api.chat.embeddings import Embeddings
from chatfleet_api.domain.events import Usage
from chatfleet_api.domain.principal import Principal
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.vectors import EmbeddingModel, EmbeddingRequest
from chatfleet_api.usage.attempts import Attempt, ended
from chatfleet_api.usage.memory_ledger import MemoryLedger
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_api.usage.record import Row
from chatfleet_contract.runtime import RuntimeConfig, RuntimeProvider
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

    def embedding(self, model: str) -> EmbeddingModel:
        assert model == "m"
        return self

    async def create(self, request: EmbeddingRequest) -> bytes:  # noqa: ARG002  # the port's
        ended(Attempt("p", "m", "text-embedding-3-small", Usage(1000)))
        return b"{}"


async def test_embeddings_are_counted_for_their_caller_with_their_cost() -> None:
    ledger = MemoryLedger()
    accounting = Accounting(
        ledger=ledger,
        prices=fixed(PriceBook.of(CONFIG)),
        now=lambda: datetime(2026, 11, 28, tzinfo=UTC),
        meter=Meter("tests"),
    )
    service = Embeddings(fixed(Maker()), accounting, lambda: "r")
    caller = Principal("acme", subject="key:web", user="ann")
    assert await service.create(caller, EmbeddingRequest("m", {}, "float")) == b"{}"
    [sums] = await ledger.days("acme", ["2026-11-28"])
    [(row, counters)] = sums.items()
    assert row == Row("p", "m", "text-embedding-3-small", "key:web", "ann")
    assert (counters["requests"], counters["input_tokens"]) == (1, 1000)
    assert Decimal(counters["cost"]).scaleb(-12) == Decimal("0.00002")
