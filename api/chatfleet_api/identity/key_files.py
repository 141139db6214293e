"""The API keys in the mounted files of Secrets: read again when they change, so that a removed key is refused."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from chatfleet_api.domain.live import Live
from chatfleet_api.domain.principal import Principal
from chatfleet_api.identity.api_keys import APIKey, KeyTable, UnusableKeyError, parse_key
from chatfleet_contract.report import MAX_ACCESS_ERRORS
from chatfleet_contract.runtime import RuntimeAccess, RuntimeKeys
from chatfleet_contract.spec import OnRevoke

MAX_FILE_BYTES: Final = 4096

logger = logging.getLogger(__name__)


class _File(NamedTuple):
    """One value of a Secret, and what changes with it."""

    path: Path
    tenant: str
    seen: tuple[int, int, int]


class _Identity(NamedTuple):
    """What makes a key another one."""

    secret: str
    name: str
    tenant: str
    text: str


class KeyFiles:
    """The keys that are valid now. A key keeps its `Principal`, and so its streams, unless it is for another caller."""

    def __init__(self, access: Live[RuntimeAccess], *, now: Callable[[], datetime], pepper: bytes) -> None:
        self._access = access
        self._now = now
        self._pepper = pepper
        self._files: tuple[_File, ...] = ()
        self._parsed: dict[_Identity, APIKey] = {}
        self.table = KeyTable((), pepper=pepper)
        self.errors: tuple[str, ...] = ()
        self.refresh()

    def refresh(self) -> None:
        """Read the files if one has changed, and end the streams of keys that are no longer valid."""
        files = tuple(_File(*each) for keys in self._access().api_keys for each in _listed(keys))
        if files != self._files:
            self._read(files)
        now = self._now()
        for key in self._parsed.values():
            if not key.valid(now):
                self._revoke(key)

    def _read(self, files: tuple[_File, ...]) -> None:
        before = self._parsed
        callers = {(each.secret, key.digest): key.principal for each, key in before.items()}
        parsed: dict[_Identity, APIKey] = {}
        digests: set[bytes] = set()
        errors: list[str] = []
        for path, tenant, _ in files:
            try:
                identity = _Identity(path.parent.name, path.name, tenant, _text(path))
                key = before.get(identity) or _parsed(identity, callers)
                _add(key.digest, digests)
                parsed[identity] = key
            except UnusableKeyError as error:
                errors.append(f"key {path.name} of Secret {path.parent.name}: {error}")
        self._files, self._parsed = files, parsed
        self.table = KeyTable(parsed.values(), pepper=self._pepper)
        if tuple(errors[:MAX_ACCESS_ERRORS]) != self.errors:
            self.errors = tuple(errors[:MAX_ACCESS_ERRORS])
            logger.warning("API keys that are not accepted: %s", "; ".join(self.errors) or "none")
        kept = {id(key.principal) for key in parsed.values()}
        for key in before.values():
            if id(key.principal) not in kept:
                self._revoke(key)

    def _revoke(self, key: APIKey) -> None:
        if key.principal.grant is not None and self._access().on_revoke == OnRevoke.CUT:
            key.principal.grant.revoke()


def _parsed(value: _Identity, before: Mapping[tuple[str, bytes], Principal]) -> APIKey:
    """Return the key of a value, for the caller that it had `before` if its limits or its end alone have changed."""
    key = parse_key(value.text, name=value.name, tenant=value.tenant, secret=value.secret)
    known = before.get((value.secret, key.digest))
    same = known is not None and known == key.principal and not (known.grant and known.grant.revoked)
    return replace(key, principal=known) if known is not None and same else key


def _add(digest: bytes, digests: set[bytes]) -> None:
    if digest in digests:
        raise UnusableKeyError("it is the same as another key; remove one of them")
    digests.add(digest)


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[:MAX_FILE_BYTES].decode()
    except OSError:
        raise UnusableKeyError("it cannot be read") from None
    except UnicodeDecodeError:
        raise UnusableKeyError("it is not UTF-8") from None


def _listed(keys: RuntimeKeys) -> Iterator[tuple[Path, str, tuple[int, int, int]]]:
    """Yield the files of one Secret, whose names are its keys; the kubelet's own begin with two dots."""
    try:
        paths = sorted(path for path in Path(keys.folder).iterdir() if not path.name.startswith(".."))
    except OSError:
        return
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        yield path, keys.tenant, (status.st_ino, status.st_mtime_ns, status.st_size)
