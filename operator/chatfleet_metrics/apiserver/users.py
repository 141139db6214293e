"""Who asks and what for: the two values that authentication and authorisation pass on. Pure."""

from typing import Final, NamedTuple

AUTHENTICATED: Final = "system:authenticated"


class User(NamedTuple):
    """Whom a request comes from, as the API server's own components know users."""

    name: str
    groups: frozenset[str] = frozenset()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    uid: str = ""


class Action(NamedTuple):
    """What a request wants, as RBAC speaks of it. `path` alone is filled for what is no resource."""

    path: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""


def action(path: str) -> Action:
    """Return what a GET of `path` wants; the API server reads paths in the same way."""
    match path.strip("/").split("/"):
        case ["apis", group, version, "namespaces", namespace, resource, *rest]:
            return Action("", group, version, namespace, resource, *_subject(rest))
        case ["apis", group, version, resource, *rest]:
            return Action("", group, version, "", resource, *_subject(rest))
        case _:
            return Action(path)


def _subject(rest: list[str]) -> tuple[str, str]:
    """Return subresource and name."""
    return "/".join(rest[1:]), rest[0] if rest else ""
