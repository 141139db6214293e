"""The fleet: the pods that share a Redis, and how the run of a pod that dies goes on at another.

1. A run belongs to a pod from its start: its record in Redis has the owner, and what a successor needs to go on
   (`ownership.py`, `begin`).
2. Every pod sends a heartbeat, four times a second, and sees those of the others (`membership.py`).
3. A pod whose heartbeat has not changed for the length of its lease is dead (`failure_detector.py`); its runs are
   orphans. A pod that ends hands its runs over: they are orphans at once (`ownership.py`, `hand_over`).
4. Each pod claims a share of the orphans, as far as it has slots (`../supervisor.py`). Redis gives each run to one pod,
   with a fencing token that is one epoch higher (`ownership.py`, `_CLAIM`; `../fence.py`).
5. The new owner goes on after the last event in the log, or repeats the request to the model, or ends the run
   (`chatfleet_api.chat.takeover`).
6. The old owner, if it is alive after all, is fenced off: the log and the session store refuse what it writes, and its
   next heartbeat, or append, stops it (`../log/append_script.py`, `ownership.py`, `fenced`).

    interface.py         what a fleet promises: orphans, claims, heartbeat results
    redis.py             the fleet in Redis: membership and ownership together; its keys
    events.py            what happens on all pods, for those who listen at one of them
    tasks.py             what all pods do in the background, for administrators at one of them
    single_pod.py        the fleet of a pod without Redis
"""
