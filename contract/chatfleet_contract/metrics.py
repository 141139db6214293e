"""All metrics of pods, operator and metrics API server. Dashboards, alerts and autoscalers use them.

Names follow the Prometheus conventions (base units, `_total` on counters). Cardinality is bounded: `model` and
`provider` are names of the catalogue, never input of a client. The processes export the rows of these tables, and
`docs/reference/metrics.md` is written from them and from `metric_worries`.
"""

from collections.abc import Mapping
from typing import Final

from chatfleet_contract.cache_metrics import CACHE_METRICS
from chatfleet_contract.metric_row import Kind, Metric
from chatfleet_contract.process_metrics import PROCESS_METRICS

# API pods and activator

ACTIVE_STREAMS: Final = "chatfleet_active_streams"
STREAM_CAPACITY: Final = "chatfleet_stream_capacity"
QUEUED_REQUESTS: Final = "chatfleet_queued_requests"
TOKENS_TOTAL: Final = "chatfleet_tokens_total"
CACHED_INPUT_TOKENS_TOTAL: Final = "chatfleet_cached_input_tokens_total"
COST_USD_TOTAL: Final = "chatfleet_cost_usd_total"
BUDGET_USED_RATIO: Final = "chatfleet_budget_used_ratio"
UNPRICED_ANSWERS_TOTAL: Final = "chatfleet_unpriced_answers_total"
WASTED_TOKENS_TOTAL: Final = "chatfleet_wasted_tokens_total"
REQUESTS_TOTAL: Final = "chatfleet_requests_total"
TENANT_REQUESTS_TOTAL: Final = "chatfleet_tenant_requests_total"
TENANT_TOKENS_TOTAL: Final = "chatfleet_tenant_tokens_total"
API_KEY_LAST_USED: Final = "chatfleet_api_key_last_used_timestamp_seconds"
REQUESTS_REJECTED_TOTAL: Final = "chatfleet_requests_rejected_total"
STREAMS_ENDED_TOTAL: Final = "chatfleet_streams_ended_total"
STREAM_RESUMES_TOTAL: Final = "chatfleet_stream_resumes_total"
TIME_TO_FIRST_TOKEN: Final = "chatfleet_time_to_first_token_seconds"
UPSTREAM_ATTEMPTS_TOTAL: Final = "chatfleet_upstream_attempts_total"
UPSTREAM_RETRIES_TOTAL: Final = "chatfleet_upstream_retries_total"
UPSTREAM_PAUSES_TOTAL: Final = "chatfleet_upstream_pauses_total"
UPSTREAM_CIRCUIT_OPEN: Final = "chatfleet_upstream_circuit_open"
CONTEXT_MESSAGES_LEFT_OUT_TOTAL: Final = "chatfleet_context_messages_left_out_total"
RUN_TAKEOVERS_TOTAL: Final = "chatfleet_run_takeovers_total"
RUN_TAKEOVER_DURATION_SECONDS: Final = "chatfleet_run_takeover_duration_seconds"
RUNS_HANDED_OVER_TOTAL: Final = "chatfleet_runs_handed_over_total"
FEEDBACK_TOTAL: Final = "chatfleet_feedback_total"
RETRIEVALS_TOTAL: Final = "chatfleet_retrievals_total"
RETRIEVAL_DURATION_SECONDS: Final = "chatfleet_retrieval_duration_seconds"
TOOL_CALLS_TOTAL: Final = "chatfleet_tool_calls_total"
TOOL_CALL_DURATION_SECONDS: Final = "chatfleet_tool_call_duration_seconds"
WEBHOOK_DELIVERIES_TOTAL: Final = "chatfleet_webhook_deliveries_total"
WEBHOOK_EVENTS: Final = "chatfleet_webhook_events"
NOTICES_DROPPED_TOTAL: Final = "chatfleet_notices_dropped_total"
ARCHIVE_QUEUED_CONVERSATIONS: Final = "chatfleet_archive_queued_conversations"
ARCHIVE_OLDEST_SECONDS: Final = "chatfleet_archive_oldest_seconds"
ARCHIVE_MESSAGES_TOTAL: Final = "chatfleet_archive_messages_total"
SPANS_EXPORTED_TOTAL: Final = "chatfleet_spans_exported_total"
SPANS_DROPPED_TOTAL: Final = "chatfleet_spans_dropped_total"
REDIS_UP: Final = "chatfleet_redis_up"
REDIS_ERRORS_TOTAL: Final = "chatfleet_redis_errors_total"
EVENT_LOOP_LAG_SECONDS: Final = "chatfleet_event_loop_lag_seconds"
BUILD_INFO: Final = "chatfleet_build_info"

POD_METRICS: Final = (
    Metric(ACTIVE_STREAMS, Kind.GAUGE, (), "Open streams."),
    Metric(STREAM_CAPACITY, Kind.GAUGE, (), "Maximum of concurrent streams, `streaming.maxStreamsPerPod`."),
    Metric(
        QUEUED_REQUESTS,
        Kind.GAUGE,
        (),
        "Requests in a queue: of a conversation or a provider; in the activator, for a ready pod.",
    ),
    Metric(
        TOKENS_TOTAL,
        Kind.COUNTER,
        ("provider", "model", "type"),
        "Tokens sent to (`input`) and received from (`output`) providers.",
    ),
    Metric(
        CACHED_INPUT_TOKENS_TOTAL,
        Kind.COUNTER,
        ("provider", "model"),
        "Tokens sent to providers that these read from their prompt caches; a part of `chatfleet_tokens_total`.",
    ),
    Metric(
        COST_USD_TOTAL,
        Kind.COUNTER,
        ("provider", "model"),
        "Cost of answers in USD, as far as prices are known; exact sums are at `GET /api/v1/usage`.",
    ),
    Metric(
        BUDGET_USED_RATIO,
        Kind.GAUGE,
        (),
        "Used and reserved part of the budget that has least left, of the ChatDeployment and the callers of this pod.",
    ),
    Metric(
        UNPRICED_ANSWERS_TOTAL, Kind.COUNTER, ("provider", "model"), "Answers of unknown cost, for lack of a price."
    ),
    Metric(
        WASTED_TOKENS_TOTAL,
        Kind.COUNTER,
        ("provider", "model", "type"),
        "Tokens of attempts that a provider accepted and that are part of no answer.",
    ),
    Metric(REQUESTS_TOTAL, Kind.COUNTER, ("route", "status"), "HTTP responses."),
    Metric(
        TENANT_REQUESTS_TOTAL,
        Kind.COUNTER,
        ("tenant",),
        "Requests with a credential: of the 20 most active tenants, and of all `other`; on the health port only.",
    ),
    Metric(
        TENANT_TOKENS_TOTAL,
        Kind.COUNTER,
        ("tenant", "type"),
        "Tokens sent to (`input`) and received from (`output`) providers, by tenant; on the health port only.",
    ),
    Metric(
        API_KEY_LAST_USED,
        Kind.GAUGE,
        ("tenant", "key"),
        "Time of the last request with an API key, of the 30 that were used last; on the health port only.",
    ),
    Metric(REQUESTS_REJECTED_TOTAL, Kind.COUNTER, ("reason",), "Requests rejected to protect the pod."),
    Metric(
        STREAMS_ENDED_TOTAL,
        Kind.COUNTER,
        ("dialect", "reason"),
        "Streams to clients that ended: `complete`, an error code, or why the connection ended.",
    ),
    Metric(STREAM_RESUMES_TOTAL, Kind.COUNTER, ("dialect",), "Streams that clients resumed after their last event."),
    Metric(
        TIME_TO_FIRST_TOKEN,
        Kind.HISTOGRAM,
        ("provider", "model"),
        "Time from a request to a provider to its first token.",
    ),
    Metric(
        UPSTREAM_ATTEMPTS_TOTAL,
        Kind.COUNTER,
        ("provider", "model", "outcome"),
        "Attempts at providers: `complete` or an error code.",
    ),
    Metric(
        UPSTREAM_RETRIES_TOTAL,
        Kind.COUNTER,
        ("provider", "model", "reason"),
        "Retries, by the error code that caused them.",
    ),
    Metric(
        UPSTREAM_PAUSES_TOTAL, Kind.COUNTER, ("provider", "model"), "Pauses of a provider's model that a 429 began."
    ),
    Metric(UPSTREAM_CIRCUIT_OPEN, Kind.GAUGE, ("provider",), "Circuit breaker of a provider: 1 open, 0 closed."),
    Metric(
        CONTEXT_MESSAGES_LEFT_OUT_TOTAL,
        Kind.COUNTER,
        (),
        "Messages of conversations that models did not get, because of `conversations.contextTokens`.",
    ),
    Metric(RUN_TAKEOVERS_TOTAL, Kind.COUNTER, ("outcome",), "Runs taken over from other pods."),
    Metric(
        RUN_TAKEOVER_DURATION_SECONDS,
        Kind.HISTOGRAM,
        (),
        "Time from the last activity of the previous owner to the takeover.",
    ),
    Metric(RUNS_HANDED_OVER_TOTAL, Kind.COUNTER, (), "Runs handed over to other pods at shutdown."),
    Metric(
        FEEDBACK_TOTAL,
        Kind.COUNTER,
        ("model", "value"),
        "Feedback of users on answers: `up`, `down`, and ratings from `1` to `5`; a changed one counts again.",
    ),
    Metric(RETRIEVALS_TOTAL, Kind.COUNTER, ("model", "result"), "Retrievals; `by_words`: without embeddings."),
    Metric(RETRIEVAL_DURATION_SECONDS, Kind.HISTOGRAM, (), "Time that a retrieval has added to an answer."),
    Metric(
        TOOL_CALLS_TOTAL,
        Kind.COUNTER,
        ("server", "tool", "outcome"),
        "Calls of tools of tool servers: `ok`, `error` of the tool, `invalid` (not made), `timeout`, `unavailable`.",
    ),
    Metric(TOOL_CALL_DURATION_SECONDS, Kind.HISTOGRAM, (), "Duration of calls of tools that were made."),
    Metric(
        WEBHOOK_DELIVERIES_TOTAL,
        Kind.COUNTER,
        ("webhook", "outcome"),
        "Attempts to send an event to a webhook: `delivered`, `failed` (to be tried again) or `dead` (given up).",
    ),
    Metric(
        WEBHOOK_EVENTS,
        Kind.GAUGE,
        ("webhook", "state"),
        "Events of a webhook that are `queued`, `dead` letters, or were `dropped`; on the pod that sends.",
    ),
    Metric(
        NOTICES_DROPPED_TOTAL,
        Kind.COUNTER,
        ("listener",),
        "Events that a listener inside of the pod was too slow for: `tap` of the admin port, `fleet` for other pods.",
    ),
    Metric(ARCHIVE_QUEUED_CONVERSATIONS, Kind.GAUGE, (), "Conversations with changes that are not archived yet."),
    Metric(ARCHIVE_OLDEST_SECONDS, Kind.GAUGE, (), "For how long the first of these conversations has waited."),
    Metric(ARCHIVE_MESSAGES_TOTAL, Kind.COUNTER, (), "Messages that this pod has written to PostgreSQL."),
    *CACHE_METRICS,
    Metric(SPANS_EXPORTED_TOTAL, Kind.COUNTER, (), "Spans that the OpenTelemetry collector has accepted."),
    Metric(SPANS_DROPPED_TOTAL, Kind.COUNTER, (), "Spans that were not exported: queue full, rejected, or pod ended."),
    Metric(REDIS_UP, Kind.GAUGE, (), "Redis: 1 available or not used, 0 unavailable."),
    Metric(REDIS_ERRORS_TOTAL, Kind.COUNTER, (), "Redis operations that failed, or found all connections busy."),
    Metric(EVENT_LOOP_LAG_SECONDS, Kind.GAUGE, (), "Delay of the last heartbeat of the event loop, one every 0.5 s."),
    Metric(BUILD_INFO, Kind.GAUGE, ("version",), "Always 1."),
)

# Metrics API server

TOKENS_PER_SECOND: Final = "chatfleet_tokens_per_second"
METRICS_APISERVER_SCRAPES_TOTAL: Final = "chatfleet_metrics_apiserver_scrapes_total"
METRICS_APISERVER_SCRAPE_CYCLE_DURATION_SECONDS: Final = "chatfleet_metrics_apiserver_scrape_cycle_duration_seconds"
METRICS_APISERVER_PODS: Final = "chatfleet_metrics_apiserver_pods"
METRICS_APISERVER_REQUESTS_TOTAL: Final = "chatfleet_metrics_apiserver_requests_total"
METRICS_APISERVER_API_WRITES_TOTAL: Final = "chatfleet_metrics_apiserver_api_writes_total"
METRICS_APISERVER_REGISTERED: Final = "chatfleet_metrics_apiserver_registered"
METRICS_APISERVER_CERTIFICATE_EXPIRY: Final = "chatfleet_metrics_apiserver_certificate_expiry_timestamp_seconds"

APISERVER_METRICS: Final = (
    Metric(
        TOKENS_PER_SECOND, Kind.GAUGE, (), "Rate of `chatfleet_tokens_total` of a pod; on `custom.metrics.k8s.io` only."
    ),
    Metric(METRICS_APISERVER_SCRAPES_TOTAL, Kind.COUNTER, ("outcome",), "Scrapes of pods."),
    Metric(
        METRICS_APISERVER_SCRAPE_CYCLE_DURATION_SECONDS,
        Kind.GAUGE,
        (),
        "Duration of the last scrape cycle; if it exceeds the period, raise the period.",
    ),
    Metric(METRICS_APISERVER_PODS, Kind.GAUGE, (), "Pods in the last scrape cycle."),
    Metric(METRICS_APISERVER_REQUESTS_TOTAL, Kind.COUNTER, ("status",), "Requests to the API."),
    Metric(
        METRICS_APISERVER_API_WRITES_TOTAL,
        Kind.COUNTER,
        ("verb", "kind"),
        "Writes accepted by the Kubernetes API server.",
    ),
    Metric(METRICS_APISERVER_REGISTERED, Kind.GAUGE, ("version",), "APIService: 1 ours, -1 another's, 0 absent."),
    Metric(
        METRICS_APISERVER_CERTIFICATE_EXPIRY,
        Kind.GAUGE,
        (),
        "End of the validity of the serving certificate, in seconds since 1970 (UTC).",
    ),
)

# Operator

RECONCILE_DURATION_SECONDS: Final = "chatfleet_operator_reconcile_duration_seconds"
RECONCILE_ERRORS_TOTAL: Final = "chatfleet_operator_reconcile_errors_total"
WORKQUEUE_DEPTH: Final = "chatfleet_operator_workqueue_depth"
WORKQUEUE_LONGEST_WAIT_SECONDS: Final = "chatfleet_operator_workqueue_longest_wait_seconds"
WATCH_EVENTS_MISSED_TOTAL: Final = "chatfleet_operator_watch_events_missed_total"
WATCH_EVENT_AGE_SECONDS: Final = "chatfleet_operator_watch_event_age_seconds"
LEADER: Final = "chatfleet_operator_leader"
EVENTS_DROPPED_TOTAL: Final = "chatfleet_operator_events_dropped_total"
API_WRITES_TOTAL: Final = "chatfleet_operator_api_writes_total"
DRIFT_REPAIRS_TOTAL: Final = "chatfleet_operator_drift_repairs_total"
CONDITION: Final = "chatfleet_chatdeployment_condition"
CONFLICT: Final = "chatfleet_chatdeployment_conflict"

OPERATOR_METRICS: Final = (
    Metric(RECONCILE_DURATION_SECONDS, Kind.HISTOGRAM, (), "Duration of a reconciliation."),
    Metric(RECONCILE_ERRORS_TOTAL, Kind.COUNTER, (), "Failed reconciliations."),
    Metric(WORKQUEUE_DEPTH, Kind.GAUGE, (), "ChatDeployments that wait for a worker."),
    Metric(WORKQUEUE_LONGEST_WAIT_SECONDS, Kind.GAUGE, (), "Wait of the first ChatDeployment in the work queue."),
    Metric(
        WATCH_EVENTS_MISSED_TOTAL, Kind.COUNTER, (), "ChatDeployments found by the periodic list without a watch event."
    ),
    Metric(WATCH_EVENT_AGE_SECONDS, Kind.GAUGE, (), "Time since the last watch event."),
    Metric(LEADER, Kind.GAUGE, (), "Lease: 1 held by this replica, 0 not."),
    Metric(EVENTS_DROPPED_TOTAL, Kind.COUNTER, (), "Kubernetes Events not written: over the rate limit, or refused."),
    Metric(API_WRITES_TOTAL, Kind.COUNTER, ("verb", "kind"), "Writes accepted by the Kubernetes API server."),
    Metric(DRIFT_REPAIRS_TOTAL, Kind.COUNTER, ("kind",), "Objects changed or deleted by others, and repaired."),
    Metric(
        CONDITION,
        Kind.GAUGE,
        ("namespace", "name", "type", "reason"),
        "Condition of a ChatDeployment: 1 True, 0 False, -1 Unknown.",
    ),
    Metric(
        CONFLICT,
        Kind.GAUGE,
        ("namespace", "name", "kind", "writer"),
        "Always 1: another client, `writer`, changes an object of this kind again after each repair.",
    ),
)

SECTIONS: Final[Mapping[str, tuple[Metric, ...]]] = {
    "API pods and activator": POD_METRICS,
    "Metrics API server": APISERVER_METRICS,
    "Operator": OPERATOR_METRICS,
    "Every process": PROCESS_METRICS,
}
"""The tables by process."""

METRICS: Final[Mapping[str, Metric]] = {row.name: row for rows in SECTIONS.values() for row in rows}
"""All metrics by name."""
