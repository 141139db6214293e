"""HTTP/1.1 client for upstreams and for the activator.

- `pool`: connection pool (`ConnectionPool`)
- `httpx_client`: an httpx client on the pool, for libraries that bring one
- `download`: fetches what clients name, within bounds (`Downloader`)
- `egress`: the outbound guard: which servers may be reached, DNS, proxy, TLS (`Dialer`)
- `urls`: reads a URL, in one way
- `connection`: one connection: request, response, backpressure (`Connection`)
- `sse`: parses server-sent events (`EventReader`)
- `deadline`: a timeout that is cheap to move at every read (`Watchdog`)
"""
