"""OpenAI's chat completions, Azure's and those of imitations.

- `request`: differences to the request of the client; `conversation`: those of its messages
- `shared`: fields of a response's request that chat completions have, too
- `as_sent`: the request of a client of the same dialect, as it was sent
- `lossless`: parser of an answer to such a client; `beside` finds what a
  choice has beside the common terms, `template` reads the chunks that differ in their text alone
- `stream`: parser of an answer; `chunks` decodes it, `tool_calls` keeps its tool calls apart, `usage` counts its tokens
- `logprobs`: parser of an answer whose log probabilities a client of the Responses API wants
- `odd_chunks`: chunks that OpenAI does not send; `odd_usage`: the same for usage
- `whole`: answers that come as one JSON document
"""
