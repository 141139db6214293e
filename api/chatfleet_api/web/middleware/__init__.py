"""Pure ASGI middleware, in the order in which a request meets it.

alias        serves a path as the one that it stands for
request_id   gives a request its id, and marks the response
server_spans the trace of each request
access_log   one line of log and one count for each request
identity     who the caller is
visits       whose request is in progress, where that matters
response_cache  what the request wants of the response cache, and how its answer is marked
upgrade      refuses WebSocket
body_limit   reads the whole body
head         answers HEAD as GET, without the body
hot_routes   calls hot routes without FastAPI
testing      lets `/test/*` pass while it is on
"""
