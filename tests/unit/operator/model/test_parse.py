"""From the API server's JSON to our values."""

from chatfleet_operator.model.parse import LAST_APPLIED, blank_values, parse_resource
from harness.kube.operated_cluster import REF, document


def live(**changes: object) -> dict[str, object]:
    made = document()
    return {**made, "metadata": {**made["metadata"], "uid": "u", "resourceVersion": "9", "generation": 3}, **changes}


def test_a_resource_is_read_with_its_spec_and_status() -> None:
    parsed = parse_resource(live(status={"observedGeneration": 2}))

    assert (parsed.ref, parsed.uid, parsed.version, parsed.generation) == (REF, "u", "9", 3)
    assert not parsed.deleting
    assert parsed.spec
    assert parsed.status.observed_generation == 2


def test_a_spec_that_cannot_be_read_names_the_field() -> None:
    parsed = parse_resource(live(spec={"providers": [{"name": "a"}], "models": [], "redis": {}}))

    assert parsed.spec is None
    assert parsed.problem.startswith("spec.providers.0.type: ")


def test_what_a_newer_version_has_written_is_read_as_far_as_we_know_it() -> None:
    spec = {**document()["spec"], "redaction": {"entities": ["email"]}}

    assert parse_resource(live(spec=spec)).spec


def test_a_status_that_cannot_be_read_counts_as_none() -> None:
    assert parse_resource(live(status={"conditions": "?"})).status.conditions is None


def test_the_values_of_a_secret_do_not_leave_the_parser() -> None:
    secret = {
        "kind": "Secret",
        "metadata": {"name": "x", "annotations": {LAST_APPLIED: "geheim", "a": "b"}},
        "data": {"password": "geheim"},
    }
    blanked = blank_values(secret)

    assert "geheim" not in str(blanked)
    assert blanked["data"] == {"password": ""}
    assert blanked["metadata"]["annotations"] == {"a": "b"}


def test_other_objects_stay_as_they_are() -> None:
    config = {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}}

    assert blank_values(config) == config
