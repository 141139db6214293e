"""Times as Kubernetes writes them."""

import math
from datetime import datetime


def seconds_between(earlier: object, later: object) -> float:
    """Return the seconds from one time to another; absent or unreadable is infinitely long ago."""
    try:
        return (datetime.fromisoformat(str(later)) - datetime.fromisoformat(str(earlier))).total_seconds()
    except (ValueError, TypeError):
        return math.inf
