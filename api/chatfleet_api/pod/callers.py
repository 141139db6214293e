"""Opens what decides who may call, as the configuration has it."""

import time
from datetime import UTC, datetime
from functools import partial

from chatfleet_api.identity.authentication import Authentication, open_authentication
from chatfleet_api.identity.discovery import fetch_keys
from chatfleet_api.pod.configuration import Configuration


def authentication_of(configuration: Configuration) -> Authentication:
    """Return the authentication of a pod, which follows its configuration."""
    return open_authentication(
        configuration.live.map(lambda live: live.access),
        partial(fetch_keys, egress=configuration.live.map(lambda live: live.egress)),
        now=lambda: datetime.now(UTC),
        clock=time.monotonic,
    )
