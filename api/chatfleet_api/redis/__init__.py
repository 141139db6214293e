"""Redis: one connection pool of a pod, whatever the topology.

client.py                commands, keys, and which Redis is refused; `open_redis`
eviction.py              whether Redis may evict keys, as far as it shows
executor.py              runs operations: slots, deadlines, a new URL, and what failures mean
connect.py               a connection pool for each topology: one server, sentinels, a cluster
replication.py           writes that wait for replicas
url.py                   the URL of a Redis, for every topology
lag_tolerant_timeout.py  a deadline that does not blame Redis for a late event loop
"""
