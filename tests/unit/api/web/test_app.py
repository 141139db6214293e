"""The root, the probes on the serving port, and the documentation."""

import json
import re

import pytest
from fastapi.routing import APIRoute

from chatfleet_api.pod.lifecycle import Phase
from chatfleet_api.web.dialects import DIALECTS
from chatfleet_contract import metrics
from harness.clients.asgi import ask, get
from harness.pods.api_pod import Pod
from harness.pods.runs import FakeProvider

pytestmark = pytest.mark.looptime


@pytest.mark.feature(1)
async def test_the_root_tells_what_this_is_and_where_to_look() -> None:
    pod = Pod(FakeProvider())
    told = (await ask(pod.app, get("/"))).json()
    assert told["service"] == "chatfleet"
    assert (told["openai_base_url"], told["conversations"]) == ("/v1", "/api/v1/conversations")
    for name in ("documentation", "health", "conversations"):
        assert (await ask(pod.app, get(told[name]))).status == 200


@pytest.mark.feature(2, 5)
async def test_probes_answer_by_status_and_say_why() -> None:
    pod = Pod(FakeProvider())
    statuses = {path: (await ask(pod.app, get(path))).status for path in ("/live", "/ready", "/startup")}
    assert statuses == {"/live": 200, "/ready": 503, "/startup": 503}
    assert (await ask(pod.app, get("/ready"))).body == b"not listening yet"
    pod.lifecycle.enter(Phase.SERVING)
    assert (await ask(pod.app, get("/ready"))).status == 200
    assert (await ask(pod.app, get("/startup"))).status == 200


async def test_the_pods_own_account_and_its_metrics_are_there() -> None:
    pod = Pod(FakeProvider())
    assert (await ask(pod.app, get("/health"))).json()["config"] == pod.configuration.digest
    answer = await ask(pod.app, get("/metrics"))
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert b"chatfleet_build_info" in answer.body


async def test_a_scraper_gets_just_the_series_that_it_names() -> None:
    answer = await ask(Pod(FakeProvider()).app, get(f"/metrics?name[]={metrics.BUILD_INFO}&name[]=unknown"))
    (sample,) = [line for line in answer.body.decode().splitlines() if not line.startswith("#")]
    assert sample.startswith(metrics.BUILD_INFO)


@pytest.mark.feature(6)
async def test_the_documentation_tells_of_every_operation_and_all_its_references_lead_somewhere() -> None:
    pod = Pod(FakeProvider())
    answer = await ask(pod.app, get("/openapi.json"))
    document = answer.json()
    operations = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert operations >= {
        *((route.path, route.method) for dialect in DIALECTS for route in dialect.hot_routes(pod.services)),
        *(
            (route.path_format.replace(":path", ""), method.lower())
            for dialect in DIALECTS
            for router in dialect.routers(pod.services)
            for route in router.routes
            if isinstance(route, APIRoute)
            for method in route.methods or ()
        ),
        ("/v1/models/{name}", "get"),
        ("/health", "get"),
    }
    for reference in set(re.findall(r'"#/([^"]+)"', json.dumps(document))):
        found = document
        for step in reference.split("/"):
            found = found[step]
        assert found


@pytest.mark.feature(3)
async def test_the_details_are_json_in_wire_names() -> None:
    pod = Pod(FakeProvider())
    told = (await ask(pod.app, get("/health/detailed"))).json()
    assert told["report"]["config"] == pod.configuration.digest
    assert told["runs"] == {"active": 0, "maxStreams": 10, "takenOver": 0, "handedOver": 0}


@pytest.mark.feature(25)
async def test_a_pod_without_redis_stores_in_its_memory() -> None:
    pod = Pod(FakeProvider())
    assert (await ask(pod.app, get("/health/redis"))).json() == {"component": "redis", "state": "unused"}
    assert (await ask(pod.app, get("/health/storage"))).json()["state"] == "up"
