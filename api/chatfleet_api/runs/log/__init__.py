"""The run log: append-only, written by one pod per run, read by any pod while the run goes on and for some time after.

interface.py      what every log promises; `Moved`, for readers that have to go on at another pod
memory.py         the log of a pod without Redis
redis.py          the log in Redis Streams: writer and reader together, opened and closed
writer.py         gathers what this pod's runs publish, and appends it with one command per interval
write_buffer.py   what is yet to be appended of one run
append_script.py  the Lua script of an append: refuses repeats, and writes with an old fencing token
reader.py         reads a run, and what state it is in
tailing.py        waits for new entries: one poller for all readers of this pod
tasks.py          ends background tasks
"""
