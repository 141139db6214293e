"""Policies around a provider. All but the last three act on opening only, and are not in a token's path.

- `fallback`: the next model when one cannot be opened
- `retry`: back-off and new attempts before the first token (`Retrying`); `retry_budget`: their share of the requests
- `quota`: no requests of the fleet to an upstream whose quota is used up
- `circuit_breaker`: no requests to an upstream that fails too often
- `concurrency`: the limit of open requests of a pod to an upstream
- `prefill`: continues an answer that was cut
- `traced`: a span for every attempt
- `instrumented`: measures every attempt
"""
