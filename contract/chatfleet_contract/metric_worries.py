"""When to worry about each metric: the end of a sentence of `docs/reference/metrics.md`. Data without code.

Dashboards and alerts ask the same questions; a metric without an answer is not exported.
"""

from collections.abc import Mapping
from typing import Final

from chatfleet_contract import cache_metrics, metrics

WORRY: Final[Mapping[str, str]] = {
    metrics.ACTIVE_STREAMS: "it stays near `chatfleet_stream_capacity`: further requests get 503 `at_capacity`",
    metrics.STREAM_CAPACITY: "it is absent: the pod is not scraped",
    metrics.QUEUED_REQUESTS: "it stays above 0 for minutes: a provider's limit or the number of pods is too low",
    metrics.TOKENS_TOTAL: "output stops while there are streams: the provider stalls",
    metrics.CACHED_INPUT_TOKENS_TOTAL: "its share of input drops: prompts have stopped to begin alike, and cost more",
    metrics.COST_USD_TOTAL: "its rate exceeds the budget: a user, a key or a loop asks too much",
    metrics.BUDGET_USED_RATIO: "it exceeds 0.8: requests get 429 `budget_exhausted` soon; raise the budget",
    metrics.UNPRICED_ANSWERS_TOTAL: "it increases: sums of cost are too low; set `pricing` of the model",
    metrics.WASTED_TOKENS_TOTAL: "it increases: a provider accepts requests and fails, and its tokens are paid",
    metrics.REQUESTS_TOTAL: "the share of `5..` statuses rises",
    metrics.TENANT_REQUESTS_TOTAL: "one tenant has most of the requests that are rejected, or `other` has many",
    metrics.TENANT_TOKENS_TOTAL: "the rate of one tenant rises and it knows no cause: a key was stolen, or a loop asks",
    metrics.API_KEY_LAST_USED: "it is old in all pods: revoke the key, which no one uses any more",
    metrics.REQUESTS_REJECTED_TOTAL: "it increases for minutes: pods are full, and autoscaling does not follow",
    metrics.STREAMS_ENDED_TOTAL: "the share of `interrupted`, `internal`, `storage_unavailable` or `upstream_*` rises",
    metrics.STREAM_RESUMES_TOTAL: "it increases without takeovers or hand-overs: a proxy or load balancer cuts streams",
    metrics.TIME_TO_FIRST_TOKEN: "the share above 10.24 s rises for one provider: it is overloaded",
    metrics.UPSTREAM_ATTEMPTS_TOTAL: "the share of other outcomes than `complete` and `cancelled` rises",
    metrics.UPSTREAM_RETRIES_TOTAL: "it exceeds a tenth of the attempts: limits or quotas are too low",
    metrics.UPSTREAM_PAUSES_TOTAL: "it increases: the quota of the provider is too low; raise it, or add a fallback",
    metrics.UPSTREAM_CIRCUIT_OPEN: "it is 1 for minutes: requests fail, or a fallback answers",
    metrics.CONTEXT_MESSAGES_LEFT_OUT_TOTAL: "its rate rises: answers forget; raise `conversations.contextTokens`",
    metrics.RUN_TAKEOVERS_TOTAL: (
        "it increases outside of node maintenance: pods are killed; `interrupted` runs are cut answers"
    ),
    metrics.RUN_TAKEOVER_DURATION_SECONDS: "it exceeds 3 s: other pods are full",
    metrics.RUNS_HANDED_OVER_TOTAL: "it stays 0 while pods are removed under open streams: no other pod has room",
    metrics.FEEDBACK_TOTAL: "the share of `down` rises for one model: its prompt or its version has changed",
    metrics.RETRIEVALS_TOTAL: "`unavailable` increases; or the share of `nothing`: users ask for what no document has",
    metrics.RETRIEVAL_DURATION_SECONDS: "it exceeds 0.1 s: there are more documents than a pod should search",
    metrics.TOOL_CALLS_TOTAL: "`timeout` or `unavailable` increase: the tool server is down",
    metrics.TOOL_CALL_DURATION_SECONDS: "it nears `timeoutSeconds` of a tool server: models get errors",
    metrics.WEBHOOK_DELIVERIES_TOTAL: "`failed` increases for minutes: the receiver is down or rejects events",
    metrics.WEBHOOK_EVENTS: (
        "`queued` grows: the receiver is too slow or down; `dead` above 0: replay them; `dropped` above 0: events are"
        " lost"
    ),
    metrics.NOTICES_DROPPED_TOTAL: "it increases: a listener is too slow and misses events; streams are not affected",
    metrics.ARCHIVE_QUEUED_CONVERSATIONS: "it grows for minutes; at 500,000, changes of further conversations get 503",
    metrics.ARCHIVE_OLDEST_SECONDS: "it exceeds 60 s: PostgreSQL is unreachable, too slow, or rejects a conversation",
    metrics.ARCHIVE_MESSAGES_TOTAL: "it stands still in all pods while conversations wait",
    cache_metrics.HITS_TOTAL: "it stands still while the cache is on: no two requests are equal; turn it off",
    cache_metrics.MISSES_TOTAL: "its rate far exceeds that of hits: raise `cache.ttlSeconds`, or turn the cache off",
    cache_metrics.FAILURES_TOTAL: "it increases: Redis is too slow or down, and providers answer everything",
    cache_metrics.READ_BYTES_TOTAL: "its rate nears what the network to Redis can carry",
    cache_metrics.WRITTEN_BYTES_TOTAL: "it far exceeds what is read: raise `cache.maxBytes`",
    metrics.SPANS_EXPORTED_TOTAL: "it stands still while there are requests, and `otlpEndpoint` is set",
    metrics.SPANS_DROPPED_TOTAL: "it increases: the collector is unreachable or too slow, and traces have gaps",
    metrics.REDIS_UP: "it is 0: conversations return 503, and streams are not resumable",
    metrics.REDIS_ERRORS_TOTAL: (
        "it increases while `chatfleet_redis_up` is 1: Redis is overloaded, or its network loses packets"
    ),
    metrics.EVENT_LOOP_LAG_SECONDS: "it stays above 0.1 s: the pod's core is busy; lower `streaming.maxStreamsPerPod`",
    metrics.BUILD_INFO: "pods of one ChatDeployment have different versions long after an upgrade",
    metrics.TOKENS_PER_SECOND: "it is absent: the autoscaler sees no tokens",
    metrics.METRICS_APISERVER_SCRAPES_TOTAL: "outcomes other than `ok` increase: the autoscaler works with old values",
    metrics.METRICS_APISERVER_SCRAPE_CYCLE_DURATION_SECONDS: "it exceeds `metricsAPIServer.periodSeconds`",
    metrics.METRICS_APISERVER_PODS: "it differs from the number of API pods",
    metrics.METRICS_APISERVER_REQUESTS_TOTAL: (
        "statuses `5..` increase: the API server cannot authenticate, or is unavailable"
    ),
    metrics.METRICS_APISERVER_API_WRITES_TOTAL: "it increases faster than with the requests of autoscalers",
    metrics.METRICS_APISERVER_REGISTERED: "it is below 1 while a ChatDeployment scales on the built-in metrics",
    metrics.METRICS_APISERVER_CERTIFICATE_EXPIRY: (
        "it is less than 25 days ahead: the renewal, 30 days before the end, has failed"
    ),
    metrics.RECONCILE_DURATION_SECONDS: "it exceeds 1 s: the API server or pods answer slowly",
    metrics.RECONCILE_ERRORS_TOTAL: "it increases for minutes: changes have no effect",
    metrics.WORKQUEUE_DEPTH: "it stays above 0: raise `operator.workers`",
    metrics.WORKQUEUE_LONGEST_WAIT_SECONDS: "it exceeds 10 s: raise `operator.workers`",
    metrics.WATCH_EVENTS_MISSED_TOTAL: "it increases: watches are broken, and changes wait for the periodic list",
    metrics.WATCH_EVENT_AGE_SECONDS: "it exceeds minutes in a cluster with changes: the watch is stuck",
    metrics.LEADER: "its sum over the operator's pods is not 1",
    metrics.EVENTS_DROPPED_TOTAL: "it increases: `kubectl describe` does not show everything",
    metrics.API_WRITES_TOTAL: (
        "it increases at rest: another client changes children, see `chatfleet_chatdeployment_conflict`"
    ),
    metrics.DRIFT_REPAIRS_TOTAL: "it increases steadily: another client changes children",
    metrics.CONDITION: "`Available` or `Ready` is below 1 for minutes",
    metrics.CONFLICT: "it is there: stop the client in `writer`",
    "process_cpu_seconds_total": "its rate stays at 1: one core is the most a process can use",
    "process_resident_memory_bytes": "it approaches the memory limit of the container",
    "process_virtual_memory_bytes": "never by itself",
    "process_start_time_seconds": "it changes often: the process restarts",
    "process_open_fds": "it approaches `process_max_fds`",
    "process_max_fds": "it is below four times `streaming.maxStreamsPerPod`",
}
"""By name, after "Worry when"."""
