"""Runs: generations that may outlive the request, and the pod, that began them.

run.py         one run on the pod that produces it: numbers its events, serves its readers, ends once
tail.py        batches of numbered events, and the newest of a run in memory with the wait for more
unread.py      what the one reader of a run that is not logged has yet to take
sizes.py       how much memory events take
admission.py   the capacity limit of a pod, and the slots that are held for runs before they start
pool.py        the runs of a pod: started, found, and ended with the pod
directory.py   the runs of all pods, for administrators
supervisor.py  the loop of a pod in its fleet: heartbeats, cancellations, fencing, takeovers
handoff.py     the hand-off of runs, and of their readers, by a pod that ends
fence.py       the fencing token that makes the last owner of a run the only one that can write it
keys.py        the Redis keys of runs and of the fleet
opening.py     opens the run log and the fleet, in memory or in Redis
log/           where events are written to and read from, by any pod
fleet/         which pods live, which runs each owns, and who takes over from the dead
"""
