"""Answers from a script: `provider`.

- `provider`: the answer at its pace, with its usage, and its end
- `script`: what a model's name requests
- `answers`: what a script answers to a request: text, reasoning, tool calls, JSON
- `router`: how a script chooses among agents
- `instances`: a value that a JSON schema allows
"""
