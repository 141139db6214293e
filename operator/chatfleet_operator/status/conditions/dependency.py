"""Sentences about a dependency that pods share and report on: Redis, PostgreSQL, ChromaDB."""

from collections.abc import Mapping

from chatfleet_contract.report import Dependency, State


def unavailable(found: Mapping[str, Dependency], pods: int, use: str) -> str | None:
    """Return how many of the `pods` cannot `use` it, such as "reach Redis", and why; None: no pod reports that."""
    down = _in_state(found, State.DOWN)
    if not down:
        return None
    pod, dependency = next(iter(down.items()))
    message = dependency.message or dependency.state.value
    return f"{len(down)} of {pods} pods cannot {use}. Pod {pod}: {message}"


def connected(found: Mapping[str, Dependency], pods: int, use: str) -> str | None:
    """Return how many of the `pods` can `use` it, and what one of them adds; None: no pod reports that."""
    up = _in_state(found, State.UP)
    if not up:
        return None
    noted = next((f" Pod {pod}: {each.message}" for pod, each in up.items() if each.message), "")
    return f"{len(up)} of {pods} pods can {use}.{noted}"


def _in_state(found: Mapping[str, Dependency], state: State) -> dict[str, Dependency]:
    return {pod: each for pod, each in sorted(found.items()) if each.state is state}
