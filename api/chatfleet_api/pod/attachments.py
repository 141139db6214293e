"""What a pod does with attachments of messages: bounds, and downloads through the guard, by the live configuration."""

from functools import lru_cache

from chatfleet_api.chat.attaching import Attaching
from chatfleet_api.domain.live import Live
from chatfleet_api.http.download import Downloader
from chatfleet_api.http.egress.dialer import Dialer
from chatfleet_api.http.egress.policy import Egress, Source
from chatfleet_contract.runtime import RuntimeConfig, RuntimeEgress


def attaching_of(config: Live[RuntimeConfig]) -> Attaching:
    """Return what checks attachments, and fetches those at an address."""
    return Attaching(
        bounds=config.map(lambda live: live.conversations.attachments),
        fetch=Downloader(lambda: _dialer(config().egress)).fetch,
    )


@lru_cache(maxsize=1)
def _dialer(egress: RuntimeEgress) -> Dialer:
    """Return what opens connections to URLs of clients."""
    return Dialer(Egress.of(egress), Source.ELSEWHERE)
