"""A pod as a process: its settings, what it serves, how it ends, and what it reports of itself.

settings        the environment, read once
configuration   the runtime configuration and its catalogue of models, reloaded live (`domain/live.py`)
served_models   the catalogue of a configuration, with its agents
services        the composition root: opens and wires all parts
callers         who may call, as the configuration has it
document_vectors  where the vectors of documents are shared, and how they are counted
collections     the collections of ChromaDB, as one dependency
attachments     the bounds of attachments, and what fetches them
stores          Redis, or memory, for runs and conversations
background      background tasks, restarted when they fail
lifecycle       THE page of a pod's end: phases from the preStop hook to the exit (graceful shutdown, drain, hand-off)
exports         what the metrics of a pod are read from
fleet_tasks     what a pod does as one of a fleet
health          readiness, liveness, and the report that the operator reads
monitors        event loop heartbeat, checks of Redis and of the upstreams
probes          routes of probes, report, metrics and the preStop hook
metrics         the table of metrics, and the verbs that count
tenant_metrics  those by tenant and by API key
token_rate      tokens per second
day_usage       what the ChatDeployment has used today
logs            format of log lines
tracing         the tracer that the configuration wants
warnings        budgets that are nearly exhausted, made known once
webhooks        what queues events for webhooks, and what sends them
"""
