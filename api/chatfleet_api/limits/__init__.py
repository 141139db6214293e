"""Limits and budgets of tenants, API keys, users and models, on all pods together.

terms      what is decided by: the limits of the configuration, and those of single API keys
plan       from `spec.limits` to what a request takes of each meter
budgets    from `spec.limits.budgets` to what a request takes of each budget, and what an answer used
verdict    what was decided about a request, and how its caller is answered
buckets    meters in memory, for a pod without Redis, and for one whose Redis is unreachable
script     meters in Redis: one script call decides about all meters of a request
meters     the calls of these scripts
leases     what this pod's answers hold, and what is yet to be settled in Redis
together   the decisions of all pods, and how to get on while Redis is unreachable
shares     how much of budgets is used, for the metrics of the pod
warnings   budgets that are nearly exhausted, made known once for all pods
limiter    reserves before a run, settles at its end
opening    the limiter of a pod
"""
