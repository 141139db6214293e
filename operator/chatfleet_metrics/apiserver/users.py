"""The user of a request and what the request is for: the input of authorization. Pure."""

from typing import Final, NamedTuple

AUTHENTICATED: Final = "system:authenticated"


class User(NamedTuple):
    """The user of a request (authentication.k8s.io/v1 UserInfo)."""

    name: str
    groups: frozenset[str] = frozenset()
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    uid: str = ""


class ResourceAttributes(NamedTuple):
    """What a request is for (authorization.k8s.io/v1). Of a non-resource request, only `path` is set."""

    path: str
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""


def request_attributes(path: str) -> ResourceAttributes:
    """Return the attributes of a GET of `path`, parsed as the API server parses paths."""
    match path.strip("/").split("/"):
        case ["apis", group, version, "namespaces", namespace, resource, *rest]:
            return ResourceAttributes("", group, version, namespace, resource, *_subject(rest))
        case ["apis", group, version, resource, *rest]:
            return ResourceAttributes("", group, version, "", resource, *_subject(rest))
        case _:
            return ResourceAttributes(path)


def _subject(rest: list[str]) -> tuple[str, str]:
    """Return the subresource and the name."""
    return "/".join(rest[1:]), rest[0] if rest else ""
