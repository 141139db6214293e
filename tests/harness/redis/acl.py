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
_LINE: Final = re.compile(r"^redis-cli (ACL SETUSER .*?[^\\])$", re.MULTILINE | re.DOTALL)


def documented_acl() -> list[str]:
    """Return the words of the command in the document."""
    (line,) = _LINE.findall(DOCUMENT.read_text())
    return shlex.split(line.replace("\\\n", " "))


def restricted(url: str, acl: list[str] | None = None) -> str:
    """Give a server's pods a user with the documented ACL, or another; returns the server's URL with that user."""
    with redis.Redis(port=urlsplit(url).port or 0) as admin:
        admin.execute_command(*(acl or documented_acl()))
    return url.replace("://", f"://{USER}:{PASSWORD}@")
