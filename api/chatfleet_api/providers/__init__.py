"""Upstreams behind one port: open a stream, then iterate over it.

- `provider`: the port (`Provider`, `Stream`) and what a stream brings (`StreamItem`, `Finish`)
- `catalogue`: what is served: the models of a runtime configuration, and the state of their upstreams
- `registry`: from a runtime configuration to its catalogue: the order of the policies
- `quotas`: the quotas of all models; `fleet_news`: what pods let each other know of upstreams, in Redis
- `environment`: what all providers share: connection pool, metrics, clock, randomness
- `policies/`: quota, circuit breaker, retry with back-off, retry budget, concurrency limit, fallback, prefill, spans,
  measuring
- `response_cache/`: answers to equal deterministic requests
- `upstream`: a provider over HTTP: request, deadlines, server-sent events, closed connections
- `embeddings`, `vectors`: embeddings of a model, behind the same slots, circuit breaker and retry budget; their form
- `error_objects`: the shapes of errors
- `own_dialect`: whether a request came in the upstream's dialect, and what no other one has
- `typed_fields`: JSON fields of a request, typed for vendors that translate them
- `token_counts`: which numbers of tokens are accepted
- `early_events`: what comes before the first content of an answer in the client's dialect
- `service_tiers`: the words for the tier and the place that answered
- `finish_reasons`: the words that end an answer, of all vendors
- `made_ids`: ids for tool calls that come without one
- `surrogates`: characters that an upstream splits over two pieces
- `upstream_errors`: what an error response, or an error event inside a stream, means
- `whole`: answers that come as one JSON document instead of a stream
- `upstream_client`: requests to one upstream: URLs, key, what its errors mean
- `upstream_check`: its check, which requests no answer
- `outcomes`: what requests and checks have shown of its models, and how long that counts
- `refusals`: which part of the usual request an upstream refuses
- `files`: PDFs in messages, for upstreams that take them, and for those that do not
- `images`: images of messages that may not have any, moved into the user's messages
- `vendor`: what differs from vendor to vendor (`Vendor`), and ways to authenticate
- `shutdown_dates`: when models shut down, by the vendors' SDKs (generated)
- `credentials`: API keys in mounted files
- `renewed`: credentials that expire, fetched again before that (`Renewed`)
- `workload_identity/`: a token of the ServiceAccount, exchanged for an access token
- `vendors/`: one folder for each vendor's API, and the table of all provider types
"""
