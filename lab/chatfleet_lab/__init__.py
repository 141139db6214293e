"""Programs that measure Chatfleet; they write docs/measurements, and their short forms are tests in tests/lab.

chaos     pods, upstreams and Redis that are hurt: reliability.{json,md}
faults    the fault matrix: which condition names a fault, and when: faults.json, and its part of reliability.md
bench     what a streamed token costs, beside other servers: benchmarks.{json,md}
scale     load on a ChatDeployment while its pods come and go: scaling*.json, and their part of reliability.md
alerts    what real processes export while something is wrong, for the tests of the alerts; no measurement
knowledge what retrieval finds, and how fast: knowledge.{md,json}
machine   what figures depend on, of the machine that measures
"""
