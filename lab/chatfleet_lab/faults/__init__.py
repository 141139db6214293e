"""The fault matrix: one row per fault, with the condition that names it, and the seconds until it does and heals.

fault      what a row is: what is done, the condition, its reason and words, and how the cause is removed
steps      what rows do to the objects of their namespace
rows/      the table, one file for each kind of fault; `all` has them together
driver     injects many faults at once, each in a namespace of its own, and measures
tools      the upstreams and Redis of pods on a node, behind proxies
processes  further operators and metrics API servers beside an API server
place      where: an API server with controllers, or a real node
page       from measurements to the section in docs/measurements/reliability.md
"""
