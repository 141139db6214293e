"""The dashboards as tables of graphs: `grafana` writes them. Data without code."""

from typing import Final

from chatfleet_contract.dashboards.operator_table import OPERATOR
from chatfleet_contract.dashboards.parts import RATE, Dashboard, Panel, Variable

ONE: Final = '{namespace="$namespace",chatdeployment="$chatdeployment"}'
"""The series of the ChatDeployment that is chosen."""
BY: Final = "sum by (namespace, chatdeployment)"
EACH: Final = "{{namespace}}/{{chatdeployment}}"
CHOSEN: Final = (
    Variable("namespace", "label_values(chatfleet_build_info, namespace)"),
    Variable("chatdeployment", 'label_values(chatfleet_build_info{namespace="$namespace"}, chatdeployment)'),
)

FLEET: Final = Dashboard(
    "fleet",
    "Chatfleet: all ChatDeployments",
    (
        Panel("Open streams", "Of all pods.", {EACH: f"{BY} (chatfleet_active_streams)"}),
        Panel(
            "Use of the capacity",
            "Near 1, further requests get 503.",
            {EACH: f"{BY} (chatfleet_active_streams) / {BY} (chatfleet_stream_capacity)"},
            "percentunit",
        ),
        Panel(
            "Tokens per second",
            "Received from providers.",
            {EACH: f'{BY} (rate(chatfleet_tokens_total{{type="output"}}{RATE}))'},
        ),
        Panel(
            "Broken streams",
            "Of all that ended; the objective is 0.1 %.",
            {EACH: "chatdeployment:chatfleet_broken_streams:ratio_rate1h"},
            "percentunit",
        ),
        Panel(
            "Late first tokens",
            "After 10.24 s; the objective is 1 %.",
            {EACH: "chatdeployment:chatfleet_late_first_tokens:ratio_rate1h"},
            "percentunit",
        ),
        Panel(
            "Refused requests",
            "To protect pods; the objective is 0.1 %.",
            {EACH: "chatdeployment:chatfleet_refused_requests:ratio_rate1h"},
            "percentunit",
        ),
        Panel("Redis", "1: available or not used.", {EACH: "min by (namespace, chatdeployment) (chatfleet_redis_up)"}),
        Panel(
            "Open circuit breakers",
            "Providers that fail.",
            {
                "{{namespace}}/{{chatdeployment}}: {{provider}}": (
                    "max by (namespace, chatdeployment, provider) (chatfleet_upstream_circuit_open) > 0"
                )
            },
        ),
        Panel(
            "Not available or not ready",
            "ChatDeployments, with the reason.",
            {
                "{{namespace}}/{{name}}: {{type}} {{reason}}": (
                    "max by (namespace, name, type, reason) "
                    '(chatfleet_chatdeployment_condition{type=~"Available|Ready"}) < 1'
                )
            },
        ),
    ),
)

CHATDEPLOYMENT: Final = Dashboard(
    "chatdeployment",
    "Chatfleet: one ChatDeployment",
    (
        Panel(
            "Requests per second",
            "By status.",
            {"{{status}}": f"sum by (status) (rate(chatfleet_requests_total{ONE}{RATE}))"},
        ),
        Panel(
            "Refused requests per second",
            "By error code.",
            {"{{reason}}": f"sum by (reason) (rate(chatfleet_requests_rejected_total{ONE}{RATE}))"},
        ),
        Panel(
            "Ends of streams per second",
            "complete, an error code, or why the connection ended.",
            {"{{reason}}": f"sum by (reason) (rate(chatfleet_streams_ended_total{ONE}{RATE}))"},
        ),
        Panel(
            "Open streams of each pod",
            "The capacity is that of one pod.",
            {"{{pod}}": f"chatfleet_active_streams{ONE}", "capacity": f"max(chatfleet_stream_capacity{ONE})"},
        ),
        Panel(
            "Time to first token",
            "Median and 99th percentile, by provider.",
            {
                f"{{{{provider}}}} p{percent}": (
                    f"histogram_quantile({percent / 100}, sum by (le, provider) "
                    f"(rate(chatfleet_time_to_first_token_seconds_bucket{ONE}{RATE})))"
                )
                for percent in (50, 99)
            },
            "s",
        ),
        Panel(
            "Tokens per second",
            "By model, sent to and received from providers.",
            {"{{model}} {{type}}": f"sum by (model, type) (rate(chatfleet_tokens_total{ONE}{RATE}))"},
        ),
        Panel(
            "Attempts at providers per second",
            "By outcome.",
            {
                "{{provider}} {{outcome}}": (
                    f"sum by (provider, outcome) (rate(chatfleet_upstream_attempts_total{ONE}{RATE}))"
                )
            },
        ),
        Panel(
            "Retries per second",
            "By the error code that caused them.",
            {
                "{{provider}} {{reason}}": (
                    f"sum by (provider, reason) (rate(chatfleet_upstream_retries_total{ONE}{RATE}))"
                )
            },
        ),
        Panel("Queued requests", "Of conversations and providers.", {"{{pod}}": f"chatfleet_queued_requests{ONE}"}),
        Panel(
            "Runs that changed their pod, per minute",
            "Taken over from dead pods, handed over at shutdown, resumed by clients.",
            {
                "taken over, {{outcome}}": f"60 * sum by (outcome) (rate(chatfleet_run_takeovers_total{ONE}{RATE}))",
                "handed over": f"60 * sum(rate(chatfleet_runs_handed_over_total{ONE}{RATE}))",
                "resumed": f"60 * sum(rate(chatfleet_stream_resumes_total{ONE}{RATE}))",
            },
        ),
        Panel(
            "Redis",
            "1: available; errors per second.",
            {
                "available": f"min(chatfleet_redis_up{ONE})",
                "errors": f"sum(rate(chatfleet_redis_errors_total{ONE}{RATE}))",
            },
        ),
        Panel(
            "Lag of the event loop",
            "Above 0.1 s for long, the pod has too many streams.",
            {"{{pod}}": f"chatfleet_event_loop_lag_seconds{ONE}"},
            "s",
        ),
        Panel(
            "CPU",
            "A pod uses one core at most.",
            {"{{pod}}": f"rate(process_cpu_seconds_total{ONE}{RATE})"},
        ),
        Panel("Memory", "Resident.", {"{{pod}}": f"process_resident_memory_bytes{ONE}"}, "bytes"),
        Panel("Open files", "Connections included.", {"{{pod}}": f"process_open_fds{ONE}"}),
        Panel(
            "Archive: conversations that wait",
            "With changes that PostgreSQL does not have yet; at 500,000, changes of further ones get 503.",
            {"waiting": f"max(chatfleet_archive_queued_conversations{ONE})"},
        ),
        Panel(
            "Archive: longest wait",
            "Above a minute, PostgreSQL is unreachable, too slow, or rejects a conversation.",
            {"waiting": f"max(chatfleet_archive_oldest_seconds{ONE})"},
            "s",
        ),
        Panel(
            "Archive: messages per second",
            "Written to PostgreSQL.",
            {"written": f"sum(rate(chatfleet_archive_messages_total{ONE}{RATE}))"},
        ),
    ),
    CHOSEN,
)

COST: Final = Dashboard(
    "cost",
    "Chatfleet: cost and tokens",
    (
        Panel(
            "US dollars per hour",
            "As far as prices are known.",
            {EACH: f"3600 * {BY} (rate(chatfleet_cost_usd_total{RATE}))"},
            "currencyUSD",
        ),
        Panel(
            "US dollars per hour, by model",
            "Of all ChatDeployments.",
            {"{{provider}} {{model}}": f"3600 * sum by (provider, model) (rate(chatfleet_cost_usd_total{RATE}))"},
            "currencyUSD",
        ),
        Panel(
            "Budgets",
            "Used part of the budget of a tenant, key or user that has least left.",
            {EACH: "max by (namespace, chatdeployment) (chatfleet_budget_used_ratio)"},
            "percentunit",
        ),
        Panel(
            "Answers without a price",
            "Per hour; their cost is missing on this page.",
            {"{{model}}": f"3600 * sum by (model) (rate(chatfleet_unpriced_answers_total{RATE}))"},
        ),
        Panel(
            "Tokens per second",
            "Sent to and received from providers.",
            {"{{model}} {{type}}": f"sum by (model, type) (rate(chatfleet_tokens_total{RATE}))"},
        ),
        Panel(
            "Input from prompt caches",
            "Share of the tokens that were sent.",
            {
                "{{model}}": (
                    f"sum by (model) (rate(chatfleet_cached_input_tokens_total{RATE})) "
                    f'/ sum by (model) (rate(chatfleet_tokens_total{{type="input"}}{RATE}))'
                )
            },
            "percentunit",
        ),
        Panel(
            "Wasted tokens per second",
            "Of attempts that are part of no answer.",
            {"{{model}} {{type}}": f"sum by (model, type) (rate(chatfleet_wasted_tokens_total{RATE}))"},
        ),
    ),
)

DASHBOARDS: Final = (FLEET, CHATDEPLOYMENT, COST, OPERATOR)
