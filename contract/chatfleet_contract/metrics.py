"""Names of the metrics of pods, operator and metrics API server. Dashboards, alerts and autoscalers use them.

Names follow the Prometheus conventions (base units, `_total` on counters). Cardinality is bounded: `model` and
`provider` are names of the catalogue, never input of a client.
"""

from typing import Final

ACTIVE_STREAMS: Final = "chatfleet_active_streams"
TOKENS_PER_SECOND: Final = "chatfleet_tokens_per_second"
"""Rate of `TOKENS_TOTAL` of a pod, computed by the metrics API server."""
QUEUED_REQUESTS: Final = "chatfleet_queued_requests"
STREAM_CAPACITY: Final = "chatfleet_stream_capacity"
TOKENS_TOTAL: Final = "chatfleet_tokens_total"
REQUESTS_TOTAL: Final = "chatfleet_requests_total"
STREAMS_ENDED_TOTAL: Final = "chatfleet_streams_ended_total"
TIME_TO_FIRST_TOKEN: Final = "chatfleet_time_to_first_token_seconds"
UPSTREAM_ATTEMPTS_TOTAL: Final = "chatfleet_upstream_attempts_total"
UPSTREAM_RETRIES_TOTAL: Final = "chatfleet_upstream_retries_total"
UPSTREAM_CIRCUIT_OPEN: Final = "chatfleet_upstream_circuit_open"
REQUESTS_REJECTED_TOTAL: Final = "chatfleet_requests_rejected_total"
RUN_TAKEOVERS_TOTAL: Final = "chatfleet_run_takeovers_total"
RUN_TAKEOVER_DURATION_SECONDS: Final = "chatfleet_run_takeover_duration_seconds"
RUNS_HANDED_OVER_TOTAL: Final = "chatfleet_runs_handed_over_total"
REDIS_UP: Final = "chatfleet_redis_up"
BUILD_INFO: Final = "chatfleet_build_info"

METRICS_APISERVER_SCRAPES_TOTAL: Final = "chatfleet_metrics_apiserver_scrapes_total"
METRICS_APISERVER_SCRAPE_CYCLE_DURATION_SECONDS: Final = "chatfleet_metrics_apiserver_scrape_cycle_duration_seconds"
METRICS_APISERVER_PODS: Final = "chatfleet_metrics_apiserver_pods"
METRICS_APISERVER_REQUESTS_TOTAL: Final = "chatfleet_metrics_apiserver_requests_total"
METRICS_APISERVER_API_WRITES_TOTAL: Final = "chatfleet_metrics_apiserver_api_writes_total"
METRICS_APISERVER_REGISTERED: Final = "chatfleet_metrics_apiserver_registered"

RECONCILE_DURATION_SECONDS: Final = "chatfleet_operator_reconcile_duration_seconds"
RECONCILE_ERRORS_TOTAL: Final = "chatfleet_operator_reconcile_errors_total"
WORKQUEUE_DEPTH: Final = "chatfleet_operator_workqueue_depth"
WORKQUEUE_LONGEST_WAIT_SECONDS: Final = "chatfleet_operator_workqueue_longest_wait_seconds"
WATCH_EVENTS_MISSED_TOTAL: Final = "chatfleet_operator_watch_events_missed_total"
LEADER: Final = "chatfleet_operator_leader"
EVENTS_DROPPED_TOTAL: Final = "chatfleet_operator_events_dropped_total"
API_WRITES_TOTAL: Final = "chatfleet_operator_api_writes_total"
DRIFT_REPAIRS_TOTAL: Final = "chatfleet_operator_drift_repairs_total"
WATCH_EVENT_AGE_SECONDS: Final = "chatfleet_operator_watch_event_age_seconds"
CONDITION: Final = "chatfleet_chatdeployment_condition"
