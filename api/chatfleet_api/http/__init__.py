"""HTTP/1.1 client for upstreams and for the activator.

- `pool`: connection pool (`ConnectionPool`), DNS, TLS
- `connection`: one connection: request, response, backpressure (`Connection`)
- `sse`: parses server-sent events (`EventReader`)
- `deadline`: a timeout that is cheap to move at every read (`Watchdog`)
"""
