"""Amazon Bedrock.

- `vendor`: the row of the table, from a provider's settings
- `request`, `conversation`: from our requests to those of Converse
- `documents`, `cache_points`: files and cache control of chat completions
- `messages`: Anthropic's Messages for clients of that dialect: request, and parser of the answer
- `framing`: frames of event streams, with their checksums
- `stream`: the parser of a streamed answer; `events`: the shapes of its events; `usage` counts its tokens
- `whole`: an answer that came as one JSON document
- `errors`: what its errors mean, in responses and in streams
- `signing`: API key or signature; `aws_sources` fetches credentials (`aws_credentials`), by a role with `aws_role`
- `signature`: signatures by awscrt, which is imported with the first one; `regions`: domains by region
"""
