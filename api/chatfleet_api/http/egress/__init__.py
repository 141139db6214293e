"""The outbound guard: which servers a pod may connect to, and how (docs/decisions/0409).

- `addresses`: what an IP address leads to, also one inside an IPv6 address
- `hosts`: lists of hosts, suffixes and ranges; names that the cluster resolves
- `policy`: the decision (`Egress`, `Source`)
- `resolver`: DNS, with a short cache
- `proxy`: a tunnel through an HTTP proxy (CONNECT)
- `trust`: whose certificates are accepted
- `dialer`: opens connections to what was checked (`Dialer`)
"""
