"""What the metrics of a pod are read from."""

from chatfleet_api.archive.keeper import ArchiveKeeper
from chatfleet_api.chat.services import ChatServices
from chatfleet_api.identity.authentication import Authentication
from chatfleet_api.pod.health import Health
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.stores import Stores
from chatfleet_api.pod.tenant_metrics import key_uses
from chatfleet_api.pod.tracing import Tracing
from chatfleet_api.providers.response_cache.cache import ResponseCache
from chatfleet_api.runs.pool import RunPool
from chatfleet_contract import cache_metrics, metrics


def export(meter: Meter, health: Health, chat: ChatServices, pool: RunPool) -> None:
    """Export what the pod is busy with."""
    meter.gauge(metrics.ACTIVE_STREAMS, lambda: health.active)
    meter.gauge(metrics.STREAM_CAPACITY, lambda: health.max_streams)
    meter.gauge(metrics.QUEUED_REQUESTS, lambda: chat.queue.waiting + health.queued_upstream())
    meter.gauge(metrics.REDIS_UP, health.redis_up)
    meter.gauge(metrics.EVENT_LOOP_LAG_SECONDS, lambda: health.loop_lag)
    meter.counter(metrics.RUNS_HANDED_OVER_TOTAL, lambda: pool.handed_over)


def export_parts(
    meter: Meter, stores: Stores, tracing: Tracing, authentication: Authentication, cache: ResponseCache | None
) -> None:
    """Export what its parts count."""
    meter.gauge(metrics.BUDGET_USED_RATIO, stores.limits.limiter.budget_used)
    meter.tenants.keys(lambda: key_uses(authentication.principals()))
    meter.counter(metrics.SPANS_EXPORTED_TOTAL, lambda: tracing.exported)
    meter.counter(metrics.SPANS_DROPPED_TOTAL, lambda: tracing.dropped)
    meter.counter(metrics.REDIS_ERRORS_TOTAL, lambda: stores.redis.failures if stores.redis else 0)
    _export_archive(meter, stores.archive)
    _export_cache(meter, cache)


def _export_archive(meter: Meter, archive: ArchiveKeeper | None) -> None:
    meter.gauge(metrics.ARCHIVE_QUEUED_CONVERSATIONS, lambda: archive.queued if archive else 0)
    meter.gauge(metrics.ARCHIVE_OLDEST_SECONDS, lambda: archive.oldest_seconds if archive else 0)
    meter.counter(metrics.ARCHIVE_MESSAGES_TOTAL, lambda: archive.messages if archive else 0)


def _export_cache(meter: Meter, cache: ResponseCache | None) -> None:
    meter.counter(cache_metrics.HITS_TOTAL, lambda: cache.hits if cache else 0)
    meter.counter(cache_metrics.MISSES_TOTAL, lambda: cache.misses if cache else 0)
    meter.counter(cache_metrics.FAILURES_TOTAL, lambda: cache.failures if cache else 0)
    meter.counter(cache_metrics.READ_BYTES_TOTAL, lambda: cache.bytes_read if cache else 0)
    meter.counter(cache_metrics.WRITTEN_BYTES_TOTAL, lambda: cache.bytes_written if cache else 0)
