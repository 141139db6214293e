"""A pod is dead when this pod has seen no heartbeat of it for a lease, and is reported dead at once."""

from collections.abc import Mapping

import pytest

from chatfleet_api.runs.fleet.failure_detector import LEASE_SECONDS, UNOWNED, FailureDetector

SERVER = 1_000_000
"""What the server's clock shows, in ms, when ours shows 0."""


class Observer:
    """Heartbeats on a clock of their own; the server's goes at the same pace, unless it jumps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.jump = 0
        self.detector = FailureDetector(lambda: self.now)

    def observe(self, now: float, **given: float) -> Mapping[str, float]:
        """Look at `now` at the pods, each with the time at which it gave its newest sign."""
        self.now = now
        pods = [(pod, self._server(at)) for pod, at in given.items()]
        return self.detector.observe(pods, at=self._server(now) + self.jump)

    @staticmethod
    def _server(seconds: float) -> int:
        return SERVER + round(seconds * 1000)


def test_a_pod_is_dead_so_long_after_it_gave_its_last_sign_and_not_after_we_saw_it() -> None:
    observer = Observer()
    observer.observe(0.0, a=0.0)
    observer.observe(0.25, a=0.05)
    assert not observer.observe(0.05 + LEASE_SECONDS - 0.001, a=0.05)
    assert observer.observe(0.05 + LEASE_SECONDS, a=0.05) == {"a": pytest.approx(LEASE_SECONDS)}


def test_a_pod_that_ends_gives_signs_of_life_too() -> None:
    observer = Observer()
    observer.observe(0.0, a=0.0)
    observer.now = 0.25
    observer.detector.observe([("a", -(SERVER + 50))], at=SERVER + 250)
    assert observer.detector.next_expiry() == pytest.approx(LEASE_SECONDS - 0.2)


def test_what_was_seen_for_the_first_time_is_as_old_as_our_look() -> None:
    observer = Observer()
    assert not observer.observe(100.0, a=1.0)
    assert observer.observe(100.0 + LEASE_SECONDS, a=1.0) == {"a": LEASE_SECONDS}


def test_a_clock_of_the_server_that_jumps_makes_no_sign_older_than_our_last_look() -> None:
    observer = Observer()
    observer.observe(0.0, a=0.0)
    observer.jump = 3_600_000
    assert not observer.observe(0.25, a=0.2)
    assert observer.detector.next_expiry() == pytest.approx(LEASE_SECONDS - 0.25)


def test_a_clock_of_the_server_that_is_set_back_makes_no_sign_younger_than_now() -> None:
    observer = Observer()
    observer.observe(0.0, a=0.0)
    observer.jump = -3_600_000
    assert not observer.observe(0.25, a=0.2)
    assert observer.detector.next_expiry() == LEASE_SECONDS


def test_after_an_outage_all_pods_are_observed_anew() -> None:
    observer = Observer()
    observer.observe(0.0, a=0.0)
    observer.detector.reset()
    assert not observer.observe(10.0, a=0.0)


def test_the_next_look_is_due_when_the_oldest_sign_of_those_that_live_has_its_age() -> None:
    observer = Observer()
    observer.observe(0.0, a=0.0, b=0.0, c=0.0)
    observer.observe(1.0, a=1.0, b=0.9, c=0.0)
    assert observer.detector.next_expiry() == pytest.approx(LEASE_SECONDS - 1.0)
    assert observer.observe(LEASE_SECONDS, a=1.0, b=1.1, c=0.0) == {"c": LEASE_SECONDS}
    assert observer.detector.next_expiry() == pytest.approx(1.0)


def test_nobody_is_dead_from_the_first_look() -> None:
    assert Observer().detector.observe([(UNOWNED, 0)], at=SERVER) == {UNOWNED: 0}
