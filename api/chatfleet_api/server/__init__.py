"""uvicorn as we run it.

http_server   listening sockets, the server of the serving port, and the health port on a thread of its own
protocol      HTTP/1.1: request timeouts, slow clients, endless heads, requests to upgrade
extensions    the ASGI extensions of a request: connections that close, writes without a coroutine
http10        responses to clients of HTTP/1.0, without chunks

The ASGI extensions that the protocol offers are described in `web/extensions.py`.
"""
