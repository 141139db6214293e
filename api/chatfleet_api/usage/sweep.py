"""Counts what answers of a pod have used that has died, those of which no log knows: each once, whoever sweeps."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command
from chatfleet_api.usage.ledger_script import BATCH_SECONDS, SWEEP, open_key, settlement_of, swept_key
from chatfleet_api.usage.open_answers import decoded
from chatfleet_api.usage.price_book import PriceBook
from chatfleet_api.usage.record import Charge, UsageRecord
from chatfleet_api.usage.redis_ledger import fields

MOST: Final = 100
"""Counted by one script."""

logger = logging.getLogger(__name__)
_pack: Final = msgspec.msgpack.Encoder().encode


class Sweeper:
    """Counts for pods that are gone, in the sums and in the metrics of this pod."""

    def __init__(
        self,
        redis: RedisClient,
        process: str,
        prices: Live[PriceBook],
        now: Callable[[], datetime],
        charged: Callable[[str, Charge], None],
    ) -> None:
        """Sweep in the name of `process`; `charged` counts a charge of a tenant in metrics."""
        self._redis = redis
        self._process = process
        self._prices = prices
        self._now = now
        self._charged = charged

    async def sweep(self, process: str) -> None:
        """Count the answers that were under way in `process`; raises `ChatError(STORAGE_UNAVAILABLE)`."""
        open_answers, swept = open_key(self._redis, process), swept_key(self._redis, process)
        found = [*fields(await self._redis.call("HGETALL", open_answers))]
        for begin in range(0, len(found), MOST):
            part = found[begin : begin + MOST]
            records = [decoded(text).record(self._prices(), self._now()) for _, text in part]
            settlements = [settlement_of(self._redis, record, conversation_seconds=0) for record in records]
            keys = (open_answers, swept, *(key for settlement in settlements for key in settlement.keys))
            runs, texts = [run.decode() for run, _ in part], [text for _, text in part]
            packed = (_pack(runs), _pack([settlement.packed for settlement in settlements]))
            command: Command = ("EVAL", SWEEP, len(keys), *keys, BATCH_SECONDS, self._process, *packed, *texts)
            counted = await self._redis.call(*command)
            self._count([records[number - 1] for number in counted])
            if counted:
                logger.warning("Counted %d answers of pod %s, which has died", len(counted), process)

    def _count(self, records: Sequence[UsageRecord]) -> None:
        for record in records:
            for charge in record.charges:
                self._charged(record.tenant, charge)
