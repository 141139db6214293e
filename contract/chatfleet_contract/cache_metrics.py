"""Metrics of the response cache: each pod counts its own part."""

from typing import Final

from chatfleet_contract.metric_row import Kind, Metric

HITS_TOTAL: Final = "chatfleet_response_cache_hits_total"
MISSES_TOTAL: Final = "chatfleet_response_cache_misses_total"
FAILURES_TOTAL: Final = "chatfleet_response_cache_failures_total"
READ_BYTES_TOTAL: Final = "chatfleet_response_cache_read_bytes_total"
WRITTEN_BYTES_TOTAL: Final = "chatfleet_response_cache_written_bytes_total"

CACHE_METRICS: Final = (
    Metric(HITS_TOTAL, Kind.COUNTER, (), "Requests that the response cache has answered."),
    Metric(MISSES_TOTAL, Kind.COUNTER, (), "Requests that it could have answered and did not have the answer to."),
    Metric(FAILURES_TOTAL, Kind.COUNTER, (), "Requests that it was not used for because Redis did not respond."),
    Metric(READ_BYTES_TOTAL, Kind.COUNTER, (), "Bytes of answers that were read from the response cache."),
    Metric(WRITTEN_BYTES_TOTAL, Kind.COUNTER, (), "Bytes of answers that were written to the response cache."),
)
