"""Anthropic's Messages API.

- `request`: from our requests to Anthropic's; `conversation`, `images`: their messages and the images in these
- `stream`: the parser of a streamed message; `events`: the shapes of its events; `usage` counts its tokens
- `as_sent`: the request of a client of the same dialect; `lossless`: the parser of an answer to it
- `whole`: a message that came as one JSON document
- `sdk_types`: shapes of the official SDK, for the type checker
"""
