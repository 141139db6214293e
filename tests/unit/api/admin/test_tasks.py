"""Administrators see what a pod does in the background, and cancel it where that makes sense."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from chatfleet_api.domain.tasks import TaskKind
from chatfleet_api.knowledge.base import KnowledgeBase
from chatfleet_contract.spec.knowledge import DocumentsRef, Knowledge, Source
from harness.clients.asgi import Exchange, ask, get, post
from harness.pods.administered import AS_OPS, AS_WEB, administer
from harness.pods.api_pod import Pod
from harness.pods.runs import STOP, text
from unit.api.chat.test_titles import ByModel, titled_pod

pytestmark = pytest.mark.looptime


def delete(path: str, **headers: str) -> Exchange:
    return Exchange("DELETE", path, headers=headers)


async def listed(app: ASGIApp, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await ask(app, get(f"/admin/tasks{query}", **AS_OPS))).json()["data"]
    return found


async def answered(pod: Pod) -> None:
    conversation = (await ask(pod.app, post("/api/v1/conversations", {}, **AS_WEB))).json()["id"]
    path = f"/api/v1/conversations/{conversation}/messages"
    assert (await ask(pod.app, post(path, {"content": "canary-of-a-question"}, **AS_WEB))).status == 200


@pytest.mark.feature(45)
async def test_a_title_is_shown_while_it_is_made_and_with_its_result(tmp_path: Path) -> None:
    pod = titled_pod(ByModel([5.0, text("canary-of-a-title"), [STOP]]))
    app = administer(pod, tmp_path)
    await answered(pod)
    (task,) = await listed(app, "?kind=title")
    assert (task["status"], task["pod"], task["facts"]["tenant"]) == ("running", "pod-1", "shop")
    await pod.pool.idle(60)
    found = (await ask(app, get(f"/admin/tasks/{task['id']}", **AS_OPS))).json()
    assert (found["status"], found["result"], found["error"]) == ("completed", "The answer is complete.", None)
    assert await listed(app, "?status=running") == []
    assert "canary" not in str(await listed(app))


@pytest.mark.feature(45)
async def test_a_title_is_cancelled(tmp_path: Path) -> None:
    pod = titled_pod(ByModel([1000.0, text("never"), [STOP]]))
    app = administer(pod, tmp_path)
    await answered(pod)
    (task,) = await listed(app, "?kind=title&pod=pod-1")
    path = f"/admin/tasks/{task['id']}"
    assert (await ask(app, delete(path, **AS_OPS))).status == 202
    await pod.pool.idle(60)
    assert (await ask(app, get(path, **AS_OPS))).json()["status"] == "cancelled"
    again = await ask(app, delete(path, **AS_OPS))
    assert (again.status, again.json()["message"]) == (400, "The task has ended.")


async def test_a_title_that_fails_has_a_reason(tmp_path: Path) -> None:
    pod = titled_pod(ByModel([text("cut")]))
    app = administer(pod, tmp_path)
    await answered(pod)
    await pod.pool.idle(60)
    (task,) = await listed(app, "?kind=title")
    assert (task["status"], task["error"]) == ("failed", "The answer is failed.")


async def test_an_index_is_shown_with_what_it_has(tmp_path: Path) -> None:
    pod = titled_pod(ByModel([[STOP]]))
    app = administer(pod, tmp_path)
    (tmp_path / "terms").mkdir()
    (tmp_path / "terms" / "a.md").write_text("Refunds take a day.")
    sources = [Source(config_map_ref=DocumentsRef(name="terms"))]
    base = KnowledgeBase(Knowledge(sources=sources), tmp_path, pod.tasks)
    for _ in range(2):
        await base.refresh()
    (task,) = await listed(app)
    assert (task["kind"], task["status"], task["result"]) == ("indexing", "completed", "1 chunks of 1 documents")
    assert task["facts"] == {"sources": "terms"}


async def test_tasks_are_for_administrators_and_what_lasts_is_not_cancelled(tmp_path: Path) -> None:
    pod = titled_pod(ByModel([[STOP]]))
    app = administer(pod, tmp_path)
    pod.tasks.lasting(TaskKind.WEBHOOKS, lambda: asyncio.sleep(0))
    (task,) = await listed(app)
    path = f"/admin/tasks/{task['id']}"
    for request in (get("/admin/tasks", **AS_WEB), get(path, **AS_WEB), delete(path, **AS_WEB)):
        assert (await ask(app, request)).status == 403
    assert (await ask(pod.app, get("/admin/tasks", **AS_OPS))).status == 404
    refused = await ask(app, delete(path, **AS_OPS))
    assert (refused.status, refused.json()["message"]) == (400, "Tasks of kind webhooks cannot be cancelled.")
    assert (await ask(app, delete("/admin/tasks/unknown", **AS_OPS))).status == 404
    assert (await ask(app, get("/admin/tasks?kind=everything", **AS_OPS))).status == 400
