"""The response cache (`spec.cache`): answers to equal deterministic requests, shared by all pods through Redis.

docs/decisions/0549-response-cache.md has the reasons.

- `cached`   the policy: a provider whose answers are looked up, and kept when they are whole
- `cacheable`  which requests may be answered so. Pure
- `key`      what makes two requests equal. Pure
- `answer`   an answer as it is kept; `Recorder` puts it together while it streams. Pure
- `cache`    looks up and keeps for the policy: never raises, never waits for a Redis that does not respond
- `opening`  opens that of a pod
- `store`    answers in Redis, within their bounds; `script`: its steps
"""
