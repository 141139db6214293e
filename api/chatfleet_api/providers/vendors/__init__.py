"""The vendors' APIs. A new provider type is one folder and one row of `table`.

- `table`: a row for each type: URLs, authentication, framing, body, parser (`VENDORS`)
- `vendor`: the columns of a row (`Vendor`) and ways to authenticate
- `openai/`: chat completions, also of Azure OpenAI and of servers that imitate OpenAI
- `anthropic/`: messages
- `scripted/`: answers from a script, without an upstream

A folder has `request` (the request in the vendor's terms), `stream` (the parser of its answer) and, where the vendor
has names of errors that `providers.upstream_errors` does not know, `errors`.
"""
