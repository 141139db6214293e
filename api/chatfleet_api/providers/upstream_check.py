"""The check of an upstream: that it can be reached, accepts the key, and has the models. It requests no answer."""

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import msgspec
from pydantic import SecretStr

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.http.connection import Connection
from chatfleet_api.providers.outcomes import Outcomes
from chatfleet_api.providers.upstream_client import UpstreamClient, read_body, translated
from chatfleet_api.providers.upstream_errors import error_name
from chatfleet_api.providers.vendor import Vendor

CHECK_SECONDS: Final = 10.0
"""How long a check may take in all."""

MAX_LIST_BYTES: Final = 2_097_152
"""Limit of what is read of a list of models; a longer one shows nothing."""

MAX_LOOKUPS: Final = 8
"""Models that one check looks up by name."""

_DENIED: Final = "only the connection and the credentials were checked, because these may not be used for checks"
_ABSENT: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


class _Listed(msgspec.Struct):
    id: str


class _List(msgspec.Struct):
    data: list[_Listed]


class UpstreamCheck:
    """Checks one upstream, again and again. A model that was listed or answered is not looked for again."""

    def __init__(self, client: UpstreamClient, vendor: Vendor, outcomes: Outcomes) -> None:
        self._client = client
        self._vendor = vendor
        self._outcomes = outcomes
        self._listed: set[str] = set()
        self._rejected = False

    async def run(self, models: Collection[str]) -> str | None:
        """Prove what costs nothing, also of `models`, by the vendor's names.

        Returns what was not proven, or what requests have shown; raises `ChatError` if the upstream is down.
        """
        key = self._client.key()
        try:
            with translated():
                async with asyncio.timeout(CHECK_SECONDS):
                    unproven = await self._ask(key, models)
        except ChatError as error:
            self._rejected = error.code is Code.UPSTREAM_AUTHENTICATION
            raise
        recovered, self._rejected = self._rejected, False
        self._outcomes.checked(key, recovered=recovered)
        verdict = self._outcomes.verdict()
        if verdict.down:
            raise ChatError(Code.UPSTREAM_REJECTED, detail=verdict.reasons)
        return "; ".join(filter(None, (self._unrenewed(), verdict.reasons or unproven))) or None

    def _unrenewed(self) -> str | None:
        failure = self._client.unrenewed
        return (
            f"the present credentials are still valid, but new ones cannot be fetched: {failure}" if failure else None
        )

    async def _ask(self, key: SecretStr | None, models: Collection[str]) -> str | None:
        response = await self._client.get(self._vendor.models_path, key, connect_seconds=CHECK_SECONDS)
        try:
            if unproven := await self._require_models(response, key):
                return None if self._outcomes.any_answered else unproven
            sought = [name for name in models if name not in self._listed and not self._outcomes.is_answered(name)]
            listed = await _names(response) if sought and self._vendor.names_models else None
        finally:
            self._client.release(response)
        if listed is None:
            return None
        self._listed |= listed & set(models)
        unlisted = [name for name in sought if name not in listed]
        absent = await self._missing(unlisted, key) if self._vendor.lists_models else []
        self._outcomes.listed(absent=absent, unlisted=unlisted)
        if self._vendor.lists_models or not unlisted:
            return None
        return f"the list of models does not have {', '.join(unlisted[:2])}; requests will show whether it exists"

    async def _require_models(self, response: Connection, key: SecretStr | None) -> str | None:
        """Raise what the response shows; return what it does not, where a list may be missing."""
        kind = response.headers.get("content-type", "").lower()
        is_page = response.status == HTTPStatus.OK and kind.startswith("text/html")  # of a site, not of an API
        if response.status not in _ABSENT and not is_page:
            if (name := error_name(response.headers)) in self._vendor.checks_denied:
                return f"{_DENIED} ({name}); requests will show whether they may use the models"
            await self._client.require_ok(response, key)
            return None
        url = self._client.url(self._vendor.models_path)
        seen = f"GET {url} returned HTTP {response.status}{' with a web page' if is_page else ''}"
        if self._vendor.lists_models:
            raise ChatError(Code.UPSTREAM_UNAVAILABLE, detail=f"{seen}; correct baseURL")
        return f"only the connection was checked, because {seen}; requests will show whether baseURL and key are valid"

    async def _missing(self, names: Collection[str], key: SecretStr | None) -> list[str]:
        """Return those of `names` that the vendor does not have: a name that is not listed may be an alias."""
        missing = []
        for name in list(names)[:MAX_LOOKUPS]:
            path = f"{self._vendor.models_path}/{quote(name, safe='')}"
            response = await self._client.get(path, key, connect_seconds=CHECK_SECONDS)
            self._client.release(response)
            if response.status == HTTPStatus.NOT_FOUND:
                missing.append(name)
            elif response.status == HTTPStatus.OK:
                self._listed.add(name)
        return missing


async def _names(response: Connection) -> set[str] | None:
    """Return the names in a list of models; None: it is none, or has none."""
    try:
        body = await read_body(response, MAX_LIST_BYTES)
        return {model.id for model in msgspec.json.decode(body, type=_List).data} or None
    except msgspec.DecodeError:
        return None
