"""The tenant is part of every key: of each in Redis, and of each table of what is stored or running in memory."""

import ast
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Final
from unittest.mock import create_autospec

import pytest

import chatfleet_api
from chatfleet_api.domain.quota import qualified
from chatfleet_api.limits.warnings import NearlyExhausted, warned_key
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.executor import Executor
from chatfleet_api.runs.keys import events_key, from_member, record_key, to_member
from chatfleet_api.sessions.index import ConversationIndex
from chatfleet_api.sessions.keys import attachment_keys, conversation_keys, idempotency_key, loading_key, queue_keys
from chatfleet_api.usage.ledger_script import batch_key, conversation_key, day_key, total_key
from harness.pods.runs import conversations

ROOT: Final = Path(chatfleet_api.__file__).parent
TENANT_KEYS: Final = {
    "runs/keys.py: events_key",
    "runs/keys.py: record_key",
    "sessions/index.py: keys",
    "sessions/keys.py: attachment_keys",
    "sessions/keys.py: _key",
}
TENANT_KEYS_OF_THE_FLEETS_SLOT: Final = {
    "limits/meters.py: _key",
    "limits/warnings.py: warned_key",
    "usage/ledger_script.py: day_key",
    "usage/ledger_script.py: conversation_key",
}
"""Functions that make keys of a tenant; `test_tenants_never_share_a_key` has what each makes."""
FLEET_KEYS: Final = {
    "limits/meters.py: ping": "a key that never exists, to try whether Redis answers",
    "identity/key_uses.py: use_key": "the last use of an API key, by a hash that has its Secret and its value",
    "redis/client.py: check": "a key to try whether Redis accepts writes, deleted at once",
    "runs/keys.py: pods_key": "the pods and their heartbeats",
    "runs/keys.py: tapped_key": "whether someone listens to what happens on all pods",
    "runs/keys.py: fleet_events_key": "what happens on all pods, for administrators; each event carries the tenant",
    "runs/keys.py: tasks_wanted_key": "whether someone wants to know what all pods do in the background",
    "runs/keys.py: tasks_key": "what a pod does in the background, for administrators; a title names its tenant",
    "runs/keys.py: task_cancels_key": "which tasks a pod is to cancel, by their ids",
    "runs/keys.py: owned_key": "which runs a pod has; its members carry the tenant",
    "runs/keys.py: cancels_key": "which runs a pod is to cancel; its members carry the tenant",
    "archive/marks.py: marks_keys": "conversations that are to be archived; its members carry the tenant",
    "archive/marks.py: writer_key": "which pod archives",
    "providers/fleet_news.py: news_key": "what pods let each other know of upstreams, which all tenants share",
    "providers/fleet_news.py: quota_key": "the pause of a model of a provider, whose quota all tenants share",
    "providers/response_cache/store.py: cache_keys": "cached answers; a hash in each field is keyed by its tenant",
    "knowledge/vector_store.py: vector_key": "the vector of a text of documents, which are the ChatDeployment's",
    "knowledge/vector_store.py: maker_key": "which pod makes vectors",
    "webhooks/queue.py: _key": "the events of a webhook, which is the ChatDeployment's; each names its tenant",
    "webhooks/inactivity.py: _key": "answers whose users may be inactive, and when users were seen; by tenant and user",
    "webhooks/queue.py: sender_key": "which pod sends",
    "webhooks/queue.py: users_key": "the webhooks of users; its fields carry the tenant",
    "usage/ledger_script.py: total_key": "the sum of the ChatDeployment, for its status",
    "usage/ledger_script.py: open_key": "answers under way in a process; each names its tenant",
    "usage/ledger_script.py: swept_key": "answers of a process that others have counted; each with keys of its tenant",
    "usage/ledger_script.py: batch_key": "the number of the last batch of sums of a process",
}
"""Functions that make keys of no tenant, and why."""
TABLES: Final = {
    "runs/fleet/failure_detector.py: _seen": "by pod",
    "runs/log/tailing.py: streams": "by key of Redis",
    "usage/redis_ledger.py: _closed": "by run, an id of this process that no caller looks up",
    "usage/redis_ledger.py: _swept": "the same",
    "usage/redis_ledger.py: closed": "the same",
    "usage/redis_ledger.py: opened": "the same",
    "usage/memory_ledger.py: _totals": "the sum of the ChatDeployment, for its status",
    "chat/tool_progress.py: results": "within one run",
    "sessions/attachments.py: data": "within one read of messages of one tenant",
    "sessions/memory.py: idempotency": "within one conversation",
    "sessions/memory.py: responses": "within one conversation",
    "sessions/memory.py: feedback": "within one conversation",
    "sessions/tree.py: found": "within one conversation",
    "sessions/tree.py: moved": "within one conversation",
}
"""Tables in memory of what is stored or running whose key has no tenant, and why."""
KEYED: Final = ("RunKey", "tuple[str, str]")
"""Types of keys with a tenant."""
TENANTS: Final = ("a", "b", "A", "a/b", "a%2Fb", "a}", "{a", "a:b", "default", "")
ID: Final = "00000000-0000-7000-8000-000000000001"


def functions() -> Iterator[tuple[str, ast.AST]]:
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}: {node.name}", node


def callers(method: str, *, arguments: bool) -> set[str]:
    """Return the functions that call a method of this name, with or without arguments."""
    return {
        name
        for name, function in functions()
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == method
        if bool(node.args) is arguments
    }


def test_every_builder_of_a_key_is_known() -> None:
    assert callers("shared_key", arguments=True) == FLEET_KEYS.keys() | TENANT_KEYS_OF_THE_FLEETS_SLOT
    assert callers("key", arguments=True) - {"sessions/pages.py: read"} == TENANT_KEYS


def test_no_other_module_writes_a_key() -> None:
    writers = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if 'f"chatfleet:' in path.read_text()}

    assert writers == {"redis/client.py"}


@pytest.fixture
def client() -> RedisClient:
    return RedisClient(create_autospec(Executor, instance=True), "shop/support")


def keys_of(client: RedisClient, tenant: str) -> list[str]:
    """Return one key of each builder."""
    index = ConversationIndex(client, conversations())
    return [
        events_key(client, tenant, ID),
        record_key(client, tenant, ID),
        *index.keys(tenant, None),
        *index.keys(tenant, "ann"),
        *conversation_keys(client, tenant, ID),
        idempotency_key(client, tenant, ID, "once"),
        *queue_keys(client, tenant, ID),
        *attachment_keys(client, tenant, "0" * 64),
        loading_key(client, tenant, ID),
        day_key(client, tenant, "2026-01-31"),
        conversation_key(client, tenant, ID),
        client.shared_key(qualified(tenant, "tenant:usd:2026-01")),
        warned_key(client, NearlyExhausted(tenant, "tenant:usd:2026-01", "usd", 1, 1, 1.0)),
    ]


def test_tenants_never_share_a_key(client: RedisClient) -> None:
    for one, other in combinations(TENANTS, 2):
        assert not {*keys_of(client, one)} & {*keys_of(client, other)}
    fleet = {client.shared_key(kind) for kind in ("pods", "probe", "owned:pod", "cancels:pod")}
    fleet |= {client.shared_key(qualified(tenant, "deployment:usd:2026-01")) for tenant in TENANTS}
    fleet |= {total_key(client, "2026-01-31"), batch_key(client, "process")}
    for tenant in TENANTS:
        assert not fleet & {*keys_of(client, tenant)}


def test_tenants_of_two_chatdeployments_never_share_a_key() -> None:
    executor = create_autospec(Executor, instance=True)
    one, other = RedisClient(executor, "shop/support"), RedisClient(executor, "shop/support-2")
    for tenant in TENANTS:
        assert not {*keys_of(one, tenant)} & {*keys_of(other, tenant)}


def test_a_member_of_the_fleets_sets_keeps_its_tenant() -> None:
    for tenant in TENANTS:
        assert from_member(to_member((tenant, ID)).encode()) == (tenant, ID)


def tables() -> Iterator[tuple[str, str]]:
    """Yield the dictionaries of the packages that store and run, and the types of their keys."""
    for stored in ("sessions/*.py", "runs/**/*.py", "chat/*.py", "usage/*ledger.py"):
        for path in ROOT.glob(stored):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.AnnAssign) or not isinstance(node.annotation, ast.Subscript):
                    continue
                if ast.unparse(node.annotation.value) in ("dict", "OrderedDict") and _kept(node.annotation):
                    target = node.target.attr if isinstance(node.target, ast.Attribute) else ast.unparse(node.target)
                    key = ast.unparse(node.annotation).partition("[")[2]
                    yield f"{path.relative_to(ROOT)}: {target}", key


def _kept(annotation: ast.Subscript) -> bool:
    """Return whether a dictionary is by texts, which ids and tenants are; one of JSON is not."""
    assert isinstance(annotation.slice, ast.Tuple)
    key, value = map(ast.unparse, annotation.slice.elts)
    return ("str" in key or "RunKey" in key) and value != "Any"


def test_every_table_in_memory_is_by_tenant() -> None:
    assert {name: key for name, key in tables() if not key.startswith(KEYED)}.keys() == TABLES.keys()
