"""Redis: one connection pool of a pod, whatever the topology.

client.py                commands, keys, and which Redis is refused; `open_redis`
eviction.py              whether Redis may evict keys, as far as it shows
executor.py              runs operations: slots, deadlines, a new URL, and what failures mean
connect.py               a connection pool for each topology: one server, sentinels, a cluster
key_positions.py         where the keys are in the commands that are sent to a cluster
lease.py                 the lease of the one pod that does something for all
replication.py           writes that wait for replicas
background_writer.py     writes in the background, again after an outage, and the rest at the end of the pod
lag_tolerant_timeout.py  a deadline that does not blame Redis for a late event loop
"""

import sys
from typing import Final

_SDK: Final = "opentelemetry.sdk.metrics"

# The client imports the SDK where it is installed, for metrics that we do not use. It takes 2 MB, and time.
if _SDK not in sys.modules:
    sys.modules[_SDK] = None  # type: ignore[assignment]  # what makes Python report that it is not installed
    import redis.observability.providers  # noqa: F401  # it looks once

    del sys.modules[_SDK]
