"""Which URLs users may name. Pure."""

from chatfleet_api.http.egress.policy import Egress, EgressRefusedError, Source
from chatfleet_api.http.urls import parse_url


def problem_of(url: str, egress: Egress) -> str | None:
    """Return why no event would ever be sent to a URL of a user; None: addresses are checked at each connection."""
    if not url.startswith("https://"):
        return "it must begin with https://"
    try:
        origin, _, _ = parse_url(url)
        egress.require_host(origin.host, Source.ELSEWHERE)
    except (EgressRefusedError, ValueError) as error:
        return str(error)
    return None
