"""A Redis that pods cannot use: their own, and the one that the operator runs."""

from collections.abc import Callable
from typing import Any, Final

from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import MANAGED, Case, Fault, Needs, Step, Tool
from chatfleet_lab.faults.rows.manifests import quota, secret
from chatfleet_lab.faults.steps import apply, delete, start, steps


def command(*words: str, password: str | None = None) -> Step:
    """Return the step that runs a command in the Redis."""

    def step(case: Case) -> None:
        with case.tools.redis(password) as client:
            client.execute_command(*words)

    return step


def url(change: Callable[[str], str]) -> Step:
    """Return the step that changes the URL in the Secret."""
    return lambda case: case.objects.apply(secret("own", url=change(case.tools.redis_url)))


RIGHT: Final = url(lambda right: right)


def cut(case: Case) -> None:
    case.tools.run(case.tools.redis_proxy.cut())


def hang(case: Case) -> None:
    case.tools.run(case.tools.redis_proxy.hang())


def back(case: Case) -> None:
    case.tools.run(case.tools.redis_proxy.heal())


def unavailable(name: str, inject: Step, heal: Step, *words: str, **rest: Any) -> Fault:  # noqa: ANN401  # a row's
    return Fault(
        name,
        inject,
        heal,
        ConditionType.REDIS_AVAILABLE,
        Reason.UNAVAILABLE,
        ("cannot reach Redis", *words),
        **{"needs": Needs.SERVING, "tools": frozenset({Tool.REDIS}), **rest},
    )


def wrong_from_the_start(name: str, change: Callable[[str], str]) -> Fault:
    """Return the row of a URL that pods start with; those that run keep their connection until it breaks."""
    return unavailable(name, steps(url(change), start), RIGHT, starts=True, needs=Needs.PODS)


ROWS: Final = (
    unavailable("Redis that refuses connections", cut, back),
    unavailable("Redis that does not respond", hang, back),
    unavailable(
        "password that Redis requires and the URL has not",
        steps(command("CONFIG", "SET", "requirepass", "x"), cut, back),
        command("CONFIG", "SET", "requirepass", "", password="x"),
    ),
    unavailable("Redis that is a replica", command("REPLICAOF", "127.0.0.1", "1"), command("REPLICAOF", "NO", "ONE")),
    unavailable(
        "Redis whose memory is full",
        command("CONFIG", "SET", "maxmemory", "1"),
        command("CONFIG", "SET", "maxmemory", "0"),
    ),
    unavailable(
        "Redis that may evict keys",
        command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
        command("CONFIG", "SET", "maxmemory-policy", "noeviction"),
        *("maxmemory-policy allkeys-lru", "noeviction"),
    ),
    unavailable(
        "scripts that the ACL of Redis denies",
        command("ACL", "SETUSER", "default", "-@scripting"),
        command("ACL", "SETUSER", "default", "+@scripting"),
        "Redis refuses a command",
    ),
    Fault(
        "policy of Redis that the ACL hides",
        command("ACL", "SETUSER", "default", "-info", "-config"),
        command("ACL", "SETUSER", "default", "+info", "+config"),
        ConditionType.REDIS_AVAILABLE,
        Reason.CONNECTED,
        ("maxmemory-policy is unknown", "allow INFO"),
        needs=Needs.SERVING,
        tools=frozenset({Tool.REDIS}),
    ),
    Fault(
        "URL of Redis that is malformed",
        url(lambda right: right.replace("redis://", "redis//")),
        RIGHT,
        ConditionType.CONFIGURATION_VALID,
        Reason.SECRET_INVALID,
        ("key url of Secret own",),
        needs=Needs.SERVING,
    ),
    wrong_from_the_start("TLS to a Redis without it", lambda right: right.replace("redis://", "rediss://")),
    wrong_from_the_start("host of Redis that does not resolve", lambda right: right.replace("://", "://nowhere.")),
    wrong_from_the_start("wrong password in the URL of Redis", lambda right: right.replace("://", "://:wrong@")),
    unavailable(
        "managed Redis whose pod is gone and not admitted again",
        steps(apply(quota(pods="1")), delete("pod/support-redis-0")),
        delete("resourcequota/small"),
        spec=MANAGED,
        tools=frozenset(),
    ),
    Fault(
        "volume claim that is deleted under the managed Redis",
        delete("persistentvolumeclaim/support-redis"),
        delete("pod/support-redis-0"),
        ConditionType.PROGRESSING,
        Reason.VOLUME_UNAVAILABLE,
        ("PersistentVolumeClaim support-redis is being deleted",),
        spec=MANAGED,
        needs=Needs.SERVING,
    ),
)
