"""From what one reconciliation saw, planned and did to the status of a ChatDeployment. Pure.

assessment      the facts that conditions are evaluated on
activation      scale to zero: who serves while no API pod does
rollout         what still keeps the current generation from being complete
upstreams       what the pods know of providers and models, as one
proof           what each ready pod must have shown before Ready becomes True
exposure        where clients reach the API: its URLs
conditions/     one file per condition, each a list of rules
events          which changes become Events
report          the status document, and which conditions changed
"""
