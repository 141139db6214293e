"""`kubectl get` without kubectl: over one connection, for what tests read some hundred times.

kubectl takes 60 ms of CPU for each call, which was 40 % of the time of the tests with an API server. What is read, and
how it is named, is the same; what is not listed here, kubectl itself does.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

from kubernetes import client, config
from urllib3.exceptions import HTTPError

DISCOVERY: Final = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_OPTIONS: Final = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
_OPTIONS.add_argument("words", nargs="*")
_OPTIONS.add_argument("-n", "--namespace")
_OPTIONS.add_argument("-l", "--selector", default="")
_OPTIONS.add_argument("-A", "--all-namespaces", action="store_true")
_OPTIONS.add_argument("-o", "--output")
_OPTIONS.add_argument("--raw")
_OPTIONS.add_argument("--ignore-not-found", action="store_true")
_OPTIONS.add_argument("--show-managed-fields", action="store_true")


class UnsupportedError(Exception):
    """Only kubectl itself does this."""


class RefusedError(AssertionError):
    """The API server does not do what was requested."""

    def __init__(self, status: int, body: str) -> None:
        words = json.loads(body) if body.startswith("{") else {"reason": status, "message": body}
        super().__init__(f"({words.get('reason')}): {words.get('message')}")
        self.status = status


class Resource(NamedTuple):
    """A kind of objects, as discovery describes it."""

    path: str
    """Of its API group and version."""
    plural: str
    qualified: str
    """As `-o name` writes it."""
    namespaced: bool


@dataclass
class Reads:
    """Reads objects with the rights of a kubeconfig."""

    kubeconfig: Path
    resources: dict[str, Resource] = field(default_factory=dict)
    """What discovery has described, by each name."""
    _connection: client.ApiClient | None = None

    def get(self, args: Sequence[str], timeout: float) -> str:
        """Return what `kubectl get ARGS` prints.

        Raises:
            UnsupportedError: only kubectl itself does this.
            AssertionError: kubectl would fail; the message has the API server's words.
        """
        options, unknown = _OPTIONS.parse_known_args(args)
        if unknown or not (options.raw or options.output in {"json", "name"}):
            raise UnsupportedError
        try:
            if options.raw:
                return self.request("GET", options.raw, timeout=timeout)
            found = list(self._objects(options, timeout))
        except RefusedError as refused:
            raise AssertionError(f"Error from server {refused}") from None
        except HTTPError as broken:
            raise AssertionError(f"Unable to connect to the server: {broken}") from None
        if options.output == "name":
            return "".join(f"{resource.qualified}/{each['metadata']['name']}\n" for resource, each in found)
        if not options.show_managed_fields:
            for _, each in found:
                each["metadata"].pop("managedFields", None)
        targets = _targets(options.words)
        if len(targets) == 1 and targets[0][1]:
            return json.dumps(found[0][1]) if found else ""
        return json.dumps({"apiVersion": "v1", "kind": "List", "items": [each for _, each in found]})

    def _objects(self, options: argparse.Namespace, timeout: float) -> Iterator[tuple[Resource, dict[str, Any]]]:
        for kind, name in _targets(options.words):
            resource = self.resource(kind, timeout)
            path = resource.path
            if resource.namespaced and not options.all_namespaces:
                if not options.namespace:
                    raise UnsupportedError
                path += f"/namespaces/{options.namespace}"
            path += f"/{resource.plural}"
            if name is None:
                listed = json.loads(self.request("GET", path, timeout=timeout, labelSelector=options.selector))
                head = {"apiVersion": listed["apiVersion"], "kind": listed["kind"].removesuffix("List")}
                yield from ((resource, head | each) for each in listed["items"])
                continue
            try:
                yield resource, json.loads(self.request("GET", f"{path}/{name}", timeout=timeout))
            except RefusedError as refused:
                if not (options.ignore_not_found and refused.status == HTTPStatus.NOT_FOUND):
                    raise

    def resource(self, kind: str, timeout: float) -> Resource:
        """Return a kind of objects by any of its names."""
        if kind.lower() not in self.resources:
            for root in ("/api", "/apis"):
                for name, resource in _discovered(
                    json.loads(self.request("GET", root, timeout=timeout, accept=DISCOVERY))
                ):
                    self.resources.setdefault(name, resource)
        try:
            return self.resources[kind.lower()]
        except KeyError:
            raise UnsupportedError from None

    def request(self, method: str, path: str, body: object = None, *, timeout: float = 120, **options: str) -> str:
        """Send a request and return the answer; `options` are of the query, but for `accept` and `content_type`.

        Raises:
            RefusedError: the API server refuses it.
        """
        if self._connection is None:
            # The library has no types here.
            self._connection = config.new_client_from_config(str(self.kubeconfig))  # type: ignore[no-untyped-call]
        content = {"Content-Type": options.pop("content_type", "application/json")} if body is not None else {}
        verb, url, headers, sent, *_ = self._connection.param_serialize(
            *(method, path),
            header_params={"Accept": options.pop("accept", "application/json"), **content},
            body=body,
            query_params=[pair for pair in options.items() if pair[1]],
            auth_settings=["BearerToken"],
        )
        response = self._connection.call_api(verb, url, headers, sent, _request_timeout=timeout)
        text: str = response.read().decode()
        if response.status >= HTTPStatus.BAD_REQUEST:
            raise RefusedError(response.status, text)
        return text


def _targets(words: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return kinds and names; a kind without a name is a list."""
    if any("/" in word for word in words):
        pairs = [word.partition("/") for word in words]
        return [(kind, name) for kind, _, name in pairs]
    kinds, names = words[0].split(","), words[1:]
    return [(kind, name) for kind in kinds for name in names or (None,)]


def _discovered(document: dict[str, Any]) -> Iterator[tuple[str, Resource]]:
    """Yield each name under which a resource is known, the preferred version of its group first."""
    for group in document["items"]:
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            path = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
            for each in version.get("resources", ()):
                singular, plural = each["singularResource"].lower(), each["resource"]
                qualified = f"{singular}.{name}" if name else singular
                resource = Resource(path, plural, qualified, each["scope"] == "Namespaced")
                for alias in (plural, singular, *each.get("shortNames", ())):
                    yield alias, resource
                    yield f"{alias}.{name}", resource
