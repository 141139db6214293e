"""The chat API of a pod: streams answers of language models, stores conversations, reports its health.

Packages, from the ground up; each imports only from those above it in this list (an import-linter contract):

domain       values, error table, live configuration
redis        client of Redis                                      http       client of upstreams, connection pool, SSE
usage        what answers have used and cost: prices, records, sums
webhooks     events for servers that are notified: queues, signatures, the pod that sends
providers    language models: vendors, retries, circuit breaker   sessions   conversations in Redis or memory
runs         run log, fleet, failure detector, takeover           identity   who a caller is
limits       requests, tokens and streams of callers              telemetry  traces, where they are wanted
knowledge    documents that models answer from: index, retrieval, fences
archive      conversations in PostgreSQL, kept for good
tools        MCP servers, whose tools models call
agents       a supervisor and its members, as models
chat         one turn, and the application services
web          dialects, routes, middleware, SSE streams
server       uvicorn, HTTP protocol                               pod        settings, lifecycle, health, metrics
admin        the admin port
activator    the process that holds requests while there is no pod
"""
