"""The dashboard of the operator and of the metrics API server. Data without code."""

from typing import Final

from chatfleet_contract.dashboards.parts import RATE, Dashboard, Panel

OPERATOR: Final = Dashboard(
    "operator",
    "Chatfleet: operator and metrics API server",
    (
        Panel("Leader", "The sum must be 1.", {"{{pod}}": "chatfleet_operator_leader"}),
        Panel(
            "Duration of reconciliations",
            "Median and 99th percentile.",
            {
                f"p{percent}": (
                    f"histogram_quantile({percent / 100}, "
                    f"sum by (le) (rate(chatfleet_operator_reconcile_duration_seconds_bucket{RATE})))"
                )
                for percent in (50, 99)
            },
            "s",
        ),
        Panel(
            "Reconciliations per second",
            "And those that failed.",
            {
                "all": f"sum(rate(chatfleet_operator_reconcile_duration_seconds_count{RATE}))",
                "failed": f"sum(rate(chatfleet_operator_reconcile_errors_total{RATE}))",
            },
        ),
        Panel(
            "Work queue",
            "ChatDeployments that wait, and for how long.",
            {
                "waiting": "sum(chatfleet_operator_workqueue_depth)",
                "seconds": "max(chatfleet_operator_workqueue_longest_wait_seconds)",
            },
        ),
        Panel(
            "Writes per second",
            "At rest there are none but the Lease.",
            {"{{verb}} {{kind}}": f"sum by (verb, kind) (rate(chatfleet_operator_api_writes_total{RATE}))"},
        ),
        Panel(
            "Repaired drift per minute",
            "Objects changed or deleted by others.",
            {"{{kind}}": f"60 * sum by (kind) (rate(chatfleet_operator_drift_repairs_total{RATE}))"},
        ),
        Panel(
            "Conflicts",
            "Clients that change children again and again.",
            {"{{namespace}}/{{name}} {{kind}}: {{writer}}": "max without (pod) (chatfleet_chatdeployment_conflict)"},
        ),
        Panel(
            "Autoscaling that does not work",
            "ChatDeployments, with the reason.",
            {
                "{{namespace}}/{{name}}: {{reason}}": (
                    'max by (namespace, name, reason) (chatfleet_chatdeployment_condition{type="AutoscalingActive",'
                    'reason!~"Disabled|Suspended|ScaledToZero"}) < 1'
                )
            },
        ),
        Panel(
            "Scrapes of the metrics API server, per second",
            "By outcome.",
            {"{{outcome}}": f"sum by (outcome) (rate(chatfleet_metrics_apiserver_scrapes_total{RATE}))"},
        ),
        Panel(
            "Registration of the metrics API server",
            "1: ours; -1: of another server; 0: absent.",
            {"{{version}}": "max by (version) (chatfleet_metrics_apiserver_registered)"},
        ),
        Panel(
            "Validity of its certificate",
            "Renewed 30 days before its end.",
            {"left": "min(chatfleet_metrics_apiserver_certificate_expiry_timestamp_seconds > 0) - time()"},
            "s",
        ),
        Panel("Memory", "Resident.", {"{{pod}}": 'process_resident_memory_bytes{pod=~".*chatfleet.*"}'}, "bytes"),
    ),
)
