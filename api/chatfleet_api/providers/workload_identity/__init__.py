"""A token of the pod's ServiceAccount, exchanged for a short-lived access token (docs/decisions/0410).

- `exchanges`: the request to each endpoint
- `answers`: what its response brings, or means
- `endpoint`: the request over the network; reads the ServiceAccount's token
- `authentication`: authenticates requests by the access token (`TokenAuthentication`)

The exchange at AWS gives keys that sign instead: `vendors/bedrock/`.
"""
