"""Names of the metrics that pods and operator export: dashboards, alerts and autoscaling refer to these.

Names follow the Prometheus conventions (base units, `_total` on counters). Labels are bounded by the resource:
`model` and `provider` are names of the catalogue, never a caller's text.
"""

from typing import Final

ACTIVE_STREAMS: Final = "chatfleet_active_streams"
TOKENS_PER_SECOND: Final = "chatfleet_tokens_per_second"
"""Of a pod, over its last seconds: what the metrics adapter makes of `TOKENS_TOTAL`."""
QUEUED_TURNS: Final = "chatfleet_queued_turns"
STREAM_CAPACITY: Final = "chatfleet_stream_capacity"
TOKENS_TOTAL: Final = "chatfleet_tokens_total"
REQUESTS_TOTAL: Final = "chatfleet_requests_total"
STREAM_END_TOTAL: Final = "chatfleet_stream_end_total"
TIME_TO_FIRST_TOKEN: Final = "chatfleet_time_to_first_token_seconds"
UPSTREAM_ATTEMPTS_TOTAL: Final = "chatfleet_upstream_attempts_total"
UPSTREAM_RETRIES_TOTAL: Final = "chatfleet_upstream_retries_total"
UPSTREAM_SUSPENDED: Final = "chatfleet_upstream_suspended"
REJECTED_TOTAL: Final = "chatfleet_rejected_total"
TAKEOVERS_TOTAL: Final = "chatfleet_takeovers_total"
TAKEOVER_SECONDS: Final = "chatfleet_takeover_seconds"
HANDED_OVER_TOTAL: Final = "chatfleet_handed_over_total"
REDIS_UP: Final = "chatfleet_redis_up"
BUILD_INFO: Final = "chatfleet_build_info"

ADAPTER_SCRAPES_TOTAL: Final = "chatfleet_metrics_adapter_scrapes_total"
ADAPTER_ROUND_SECONDS: Final = "chatfleet_metrics_adapter_round_seconds"
ADAPTER_PODS: Final = "chatfleet_metrics_adapter_pods"
ADAPTER_REQUESTS_TOTAL: Final = "chatfleet_metrics_adapter_requests_total"
ADAPTER_WRITES_TOTAL: Final = "chatfleet_metrics_adapter_api_writes_total"
ADAPTER_REGISTERED: Final = "chatfleet_metrics_adapter_registered"

RECONCILE_SECONDS: Final = "chatfleet_operator_reconcile_seconds"
RECONCILE_ERRORS_TOTAL: Final = "chatfleet_operator_reconcile_errors_total"
QUEUE_DEPTH: Final = "chatfleet_operator_queue_depth"
QUEUE_AGE_SECONDS: Final = "chatfleet_operator_queue_age_seconds"
MISSED_EVENTS_TOTAL: Final = "chatfleet_operator_missed_events_total"
LEADER: Final = "chatfleet_operator_leader"
EVENTS_DROPPED_TOTAL: Final = "chatfleet_operator_events_dropped_total"
API_WRITES_TOTAL: Final = "chatfleet_operator_api_writes_total"
DRIFT_REPAIRS_TOTAL: Final = "chatfleet_operator_drift_repairs_total"
WATCH_AGE_SECONDS: Final = "chatfleet_operator_watch_age_seconds"
CONDITION: Final = "chatfleet_chatdeployment_condition"
