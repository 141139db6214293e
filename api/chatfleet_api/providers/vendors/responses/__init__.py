"""OpenAI's Responses API, Azure's and those of imitations: for providers with `api: responses`.

- `request`: the request of any client in the terms of this API; `conversation` its messages as items, `tools` its tools
- `as_sent`: the request of a client of the same API, as it was sent
- `lossless`: parser of an answer to such a client
- `stream`: parser of an answer; `events` decodes it, `calls` keeps its tool calls apart
- `whole`: answers that come as one JSON document
"""
