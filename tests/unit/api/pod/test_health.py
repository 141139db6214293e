"""What probes and the operator are told of a pod."""

import asyncio
from collections.abc import Callable, Mapping
from itertools import pairwise

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.pod.configuration import Configuration, first_look
from chatfleet_api.pod.health import Health, keep_beating, watch_redis, watch_upstreams
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.pod.probes import SIGNAL_SECONDS, Hook
from chatfleet_api.web.app import create_health_app
from chatfleet_contract.names import HEADER_DRAIN, PATH_DRAIN
from chatfleet_contract.report import Breaker, Dependency, State, Traffic
from harness.clients.asgi import Exchange, ask, asking, get
from harness.pods.runs import loop_clock

pytestmark = pytest.mark.looptime

UP = Dependency(state=State.UP)
HOOK = Hook("secret", lambda: 10)
DOWN = Dependency(state=State.DOWN, message="refused")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make_health(clock: Callable[[], float] | None = None) -> Health:
    return Health(pod="p-1", version="1.2.3", served=Configuration(first_look()), clock=clock or Clock())


def serving(health: Health) -> Health:
    health.listening = True
    health.beat(active=3, capacity=10)
    return health


async def test_a_pod_that_listens_is_started_ready_and_live() -> None:
    health = serving(make_health())
    assert (health.not_started(), health.not_ready(), health.not_live()) == (None, None, None)


async def test_a_pod_that_does_not_listen_yet_is_neither_started_nor_ready() -> None:
    health = make_health()
    health.beat(active=0, capacity=10)
    assert health.not_started()
    assert health.not_ready()
    assert health.not_live() is None


async def test_a_draining_pod_is_alive_and_not_ready() -> None:
    health = serving(make_health())
    health.draining = True
    assert health.not_ready() == "draining"
    assert health.not_live() is None
    assert health.not_started() is None


def told_of_its_end(**headers: str) -> Exchange:
    return get(PATH_DRAIN, **(headers or {HEADER_DRAIN: HOOK.token}))


async def test_a_pod_that_is_about_to_end_says_so_and_still_takes_requests_until_it_is_told_to_end() -> None:
    health = serving(make_health())
    app = create_health_app(health, Meter("1.2.3"), HOOK)
    began = asyncio.get_running_loop().time()
    async with asking(app, told_of_its_end()) as hook:
        await asyncio.sleep(1)
        assert (await ask(app, get("/health"))).json()["draining"] is True
        assert (await ask(app, get("/ready"))).status == 200
        await hook
    assert asyncio.get_running_loop().time() - began == pytest.approx(10)


async def test_a_pod_whose_end_does_not_come_goes_on_as_if_nobody_had_told_of_it() -> None:
    health = serving(make_health(loop_clock))
    await ask(create_health_app(health, Meter("1.2.3"), HOOK), told_of_its_end())
    assert (health.leaving, health.report().draining) == (True, True)
    await asyncio.sleep(SIGNAL_SECONDS)
    assert (health.leaving, health.report().draining, health.not_ready()) == (False, False, None)


@pytest.mark.parametrize(
    ("token", "shown", "status"),
    [
        pytest.param("secret", {"accept": "*/*"}, 403, id="nothing"),
        pytest.param("secret", {HEADER_DRAIN: "secret?"}, 403, id="something else"),
        pytest.param("secret", {HEADER_DRAIN: "s\xe9cret"}, 403, id="no ASCII"),
        pytest.param("", {HEADER_DRAIN: ""}, 404, id="to a pod that nobody can tell"),
        pytest.param("secret", {HEADER_DRAIN: "secret"}, 200, id="what the kubelet shows"),
    ],
)
async def test_only_who_shows_the_pods_token_can_tell_it_of_its_end(
    token: str, shown: dict[str, str], status: int
) -> None:
    health = serving(make_health())
    app = create_health_app(health, Meter("1.2.3"), Hook(token, lambda: 10))
    assert (await ask(app, told_of_its_end(**shown))).status == status
    assert health.leaving is (status == 200)


async def test_a_full_pod_is_not_ready_until_a_stream_ends() -> None:
    health = serving(make_health())
    health.beat(active=10, capacity=10)
    assert health.not_ready() == "all 10 streams are taken"
    health.beat(active=9, capacity=10)
    assert health.not_ready() is None


async def test_a_main_loop_that_is_stuck_is_told_and_nothing_else_makes_a_pod_dead() -> None:
    clock = Clock()
    health = serving(make_health(clock))
    health.redis = DOWN
    health.checked({"a": DOWN})
    clock.now += 9
    assert health.not_live() is None
    clock.now += 2
    assert health.not_live() == "the main loop has been stuck for 11 s"


async def test_neither_redis_nor_an_upstream_decides_on_readiness() -> None:
    health = serving(make_health())
    health.redis = DOWN
    health.checked({"a": DOWN})
    assert health.not_ready() is None


async def test_the_report_tells_what_the_operator_needs() -> None:
    health = serving(make_health())
    health.redis, health.draining = DOWN, True
    health.checked({"a": UP})
    report = health.report()
    assert report.document() == {
        "pod": "p-1",
        "version": "1.2.3",
        "config": first_look().digest(),
        "draining": True,
        "activeStreams": 3,
        "maxStreams": 10,
        "tokensPerSecond": 0.0,
        "redis": {"state": "down", "message": "refused"},
        "upstreams": {"a": {"state": "up"}},
    }


async def test_the_heart_beats_as_long_as_the_loop_runs() -> None:
    class Load:
        active = 4

    clock = Clock()
    health = make_health(clock)
    clock.now += 60
    assert health.not_live()
    beating = asyncio.ensure_future(keep_beating(health, Load(), lambda: 5))
    await asyncio.sleep(0.1)
    beating.cancel()
    assert health.not_live() is None
    assert (health.active, health.capacity) == (4, 5)


async def test_redis_is_looked_at_every_few_seconds() -> None:
    answers: list[Exception | None] = [ChatError(Code.STORAGE_UNAVAILABLE, detail="refused"), None]

    async def ping() -> None:
        if error := answers.pop(0):
            raise error

    health = make_health()
    assert health.redis_up() == 1
    watching = asyncio.ensure_future(watch_redis(health, ping))
    await asyncio.sleep(1)
    assert health.redis == DOWN
    assert health.redis_up() == 0
    await asyncio.sleep(3)
    watching.cancel()
    assert health.redis == UP
    assert health.redis_up() == 1


@pytest.mark.parametrize(("seen", "at_least", "at_most"), [(UP, 24, 36), (DOWN, 4, 6)])
async def test_upstreams_are_looked_at_now_and_then_and_sooner_while_one_is_down(
    seen: Dependency, at_least: float, at_most: float
) -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def check() -> Mapping[str, Dependency]:
        times.append(loop.time())
        return {"a": seen}

    health = make_health()
    watching = asyncio.ensure_future(watch_upstreams(health, check))
    await asyncio.sleep(100)
    watching.cancel()
    assert health.upstreams == {"a": seen}
    assert all(at_least <= late - early <= at_most for early, late in pairwise(times))
    assert len(times) > 2


async def test_an_upstream_is_down_as_soon_as_it_is_spared_and_up_as_soon_as_it_is_not() -> None:
    health, breakers = serving(make_health()), [Breaker.CLOSED]
    health.traffic = lambda: {"s": Traffic(breaker=breakers[-1], retries_left=3, calls=2, calls_limit=5, queued=1)}
    health.checked({"s": UP})
    seen = []
    for breaker in (Breaker.CLOSED, Breaker.OPEN, Breaker.HALF_OPEN, Breaker.CLOSED):
        breakers.append(breaker)
        seen.append(health.report().upstreams["s"].state)
    assert seen == [State.UP, State.DOWN, State.DOWN, State.UP]


async def test_the_details_tell_how_old_a_check_is_and_what_goes_on() -> None:
    clock = Clock()
    health = serving(make_health(clock))
    traffic = Traffic(breaker=Breaker.CLOSED, retries_left=3, calls=2, calls_limit=5, queued=1)
    health.traffic = lambda: {"s": traffic}
    health.checked({"s": UP})
    clock.now += 7
    told = health.details()
    assert (told.upstreams["s"].seen, told.upstreams["s"].checked_seconds_ago) == (UP, 7)
    assert told.upstreams["s"].traffic == traffic
    assert (told.runs.active, told.runs.capacity, told.fleet) == (3, 10, None)
    assert told.report == health.report()
