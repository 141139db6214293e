"""Agents (`spec.agents`) as models of the API. Imported only by a pod that has agents.

- `catalogue`  the models of the configuration, with agents beside them
- `answering`  the providers of agents: who answers is announced first, then a model of the catalogue answers as it
- `choice`     which agent answers, by rule and by the answer of a model. Pure
- `routing`    the short request by which a model chooses. Pure
"""
