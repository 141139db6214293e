"""Anthropic's Messages API.

- `request`: from our requests to Anthropic's; `conversation`, `images`: their messages and the images in these
- `stream`: the parser of a streamed message; `events`: the shapes of its events; `usage` counts its tokens
- `whole`: a message that came as one JSON document
- `sdk_types`: shapes of the official SDK, for the type checker
"""
