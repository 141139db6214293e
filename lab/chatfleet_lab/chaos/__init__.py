"""Each scenario hurts a fleet and checks a promise; its control run lacks the protection, and must fail.

scenarios/       one file a promise, by its name; `all` has their order
scenario         what a scenario is, and the trial in which one variant of it is played
runner           plays both variants and returns the result
verdict          what an answer was worth, by its script and the upstream's ledger
counted          what pods have counted of answers, beside what the upstream has sent
report           from results to the page
fleet            pods as processes; `node` has them on a real node, from `chatdeployment`
baseline         a relay as many write it: the server of controls that need no part of ours
control          the API without one of its protections
crowd, writing   hostile clients; writers that note what was acknowledged
measure          percentiles
"""
