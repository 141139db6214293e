"""A webhook that does not accept events is in ConfigurationValid, and stops nothing else."""

import json
from dataclasses import replace

from chatfleet_contract.spec.webhooks import MAX_WEBHOOKS
from chatfleet_operator.model.pod_report import parse_report
from chatfleet_operator.model.values import Observed
from harness.kube.operated_cluster import resource
from unit.operator.status.test_conditions import condition, evaluate_conditions, serving, status_and_reason

FAILS = "Webhook crm: it responded with HTTP 500"
NO_SECRET = "Webhook bi: Secret bi-signing does not exist, or is empty"


def with_webhooks(*problems: str) -> Observed:
    """Return a snapshot of which one pod, which sends, reports `problems`."""
    seen = serving(resource())
    first, *others = seen.pods
    report = first.report and first.report.model_copy(update={"webhook_errors": problems})
    return replace(seen, pods=(replace(first, report=report), *others))


def test_the_webhook_and_the_cause_are_in_the_message() -> None:
    status = evaluate_conditions(with_webhooks(FAILS))
    assert status_and_reason(status, "ConfigurationValid") == "False WebhookUnavailable"
    assert condition(status, "ConfigurationValid").message == f"{FAILS}. Its events wait for 24 hours."


def test_further_webhooks_are_counted() -> None:
    status = evaluate_conditions(with_webhooks(NO_SECRET, FAILS))
    assert condition(status, "ConfigurationValid").message == f"{NO_SECRET} (1 more). Its events wait for 24 hours."


def test_clients_are_served_all_the_same() -> None:
    assert status_and_reason(evaluate_conditions(with_webhooks(FAILS)), "Ready") == "True Serving"


def test_it_heals_with_the_report() -> None:
    assert status_and_reason(evaluate_conditions(with_webhooks()), "ConfigurationValid") == "True Valid"


def test_reports_are_bounded() -> None:
    body = {"pod": "p", "version": "1", "config": "c", "webhookErrors": ["x" * 100_000] * 100}
    report = parse_report(json.dumps(body).encode())
    assert report is not None
    assert len(report.webhook_errors) == MAX_WEBHOOKS
    assert all(len(each) < 1000 for each in report.webhook_errors)
