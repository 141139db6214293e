"""Pure ASGI middleware, in the order in which a request meets it.

request_id   gives a request its id, and marks the response
access_log   one line of log and one count for each request
identity     who the caller is
body_limit   reads the whole body
hot_routes   calls hot routes without FastAPI
"""
