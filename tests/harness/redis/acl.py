"""The ACL that the documentation gives to pods, as an administrator would copy it from there."""

import re
import shlex
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import redis

DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "operations" / "redis.md"
USER: Final = "chatfleet"
PASSWORD: Final = "PASSWORD"  # that of the document
INFO: Final = "+info"
"""The one permission of the line that servers with a safe default do not grant."""
_USERINFO: Final = f"://{USER}:{PASSWORD}@"
SENTINEL: Final = "-p 26379 "
"""Marks the command for sentinels."""


def documented_acl(options: str = "") -> list[str]:
    """Return the words of the command in the document, for servers or, with `SENTINEL`, for sentinels."""
    line = re.compile(rf"^redis-cli {options}(ACL SETUSER .*?[^\\])$", re.MULTILINE | re.DOTALL)
    (found,) = line.findall(DOCUMENT.read_text())
    return shlex.split(found.replace("\\\n", " "))


def restricted(url: str, acl: list[str] | None = None) -> str:
    """Give a server's pods a user with the documented ACL, or another; returns the server's URL with that user."""
    _grant(url, acl or documented_acl())
    return url.replace("://", _USERINFO)


def restricted_sentinel(url: str, acl: list[str] | None = None) -> str:
    """Give a sentinel's pods a user, as `restricted` does; returns the URL with that user and the one of the server."""
    _grant(url, acl or documented_acl(SENTINEL))
    return f"{url.replace('://', _USERINFO)}?sentinel_username={USER}&sentinel_password={PASSWORD}"


def _grant(url: str, acl: list[str]) -> None:
    with redis.Redis(port=urlsplit(url).port or 0) as admin:
        admin.execute_command(*acl)


def denied(url: str) -> set[str]:
    """Return the commands that the ACL of the server, or of the sentinel, at `url` has refused."""
    with redis.Redis(port=urlsplit(url).port or 0) as admin:
        return {entry["object"] for entry in admin.acl_log()}
