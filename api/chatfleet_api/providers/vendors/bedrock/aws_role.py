"""A role of AWS by a token of the ServiceAccount: AssumeRoleWithWebIdentity of AWS STS."""

import re
from datetime import datetime
from html import unescape
from typing import Final, NamedTuple
from urllib.parse import urlencode

from chatfleet_api.http.pool import ConnectionPool
from chatfleet_api.providers.vendor import HTTPRequest
from chatfleet_api.providers.vendors.bedrock.aws_credentials import Credentials
from chatfleet_api.providers.workload_identity.endpoint import Sought, fetch, read_token, unusable


class Role(NamedTuple):
    """A role, and the token that it is taken with."""

    arn: str
    session: str
    """Name of the session, in AWS's logs."""
    token_file: str


def _element(document: bytes, name: str) -> str:
    """Return the text of an element of XML that has no further ones."""
    found = re.search(rf"<{name}>([^<]+)</{name}>", document.decode("utf-8", "replace"))
    if found is None:
        raise unusable(f"the answer of AWS STS has no {name}")
    return unescape(found[1]).strip()


def _shown(document: bytes) -> str:
    text = document.decode("utf-8", "replace")
    found = re.search("<Message>([^<]+)</Message>", text)
    return unescape(found[1]) if found else text


def seconds_of(date: str) -> float:
    """Return a date in Unix seconds."""
    try:
        return datetime.fromisoformat(date).timestamp()
    except ValueError as error:
        raise unusable(f"the expiry of the AWS credentials is no date: {date}") from error


SOUGHT: Final = Sought("AWS credentials", "correct the role or its trust policy", _shown)


async def assume_role(connections: ConnectionPool, url: str, role: Role) -> Credentials:
    """Return credentials of `role` from the AWS STS at `url`; raise `ChatError` with its own words."""
    token = read_token(role.token_file)
    fields = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role.arn,
        "RoleSessionName": role.session,
        "WebIdentityToken": token,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    request = HTTPRequest("POST", url, headers, urlencode(fields).encode())
    answer = await fetch(connections, request, SOUGHT, hidden=(token,))
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    access, secret, session_token, expires = (_element(answer, name) for name in names)
    return Credentials(access, secret, session_token, seconds_of(expires))
