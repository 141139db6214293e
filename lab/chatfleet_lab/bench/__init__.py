"""Servers side by side between one load client and one upstream.

subjects    what is measured, and how each is started; `packages` installs the peers, `peers` has those of our own
client      the load client; `workload` is what a stream consists of, `load` the three shapes of load
processes   a server on a core of its own, and what it costs
measure     from loads to figures; `profile` tells where the time goes, `yardstick` how fast the machine is
identity    CPU of the identity of a request, by itself; `limits` that of its limits and its budget
report      from figures to the page
"""
