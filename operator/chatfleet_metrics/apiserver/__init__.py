"""The aggregated API server of `custom.metrics.k8s.io`.

server.py           the handling of a request: authenticate, authorize, respond
authentication.py   client certificates, the API server's request headers, bearer tokens (TokenReview)
authorization.py    SubjectAccessReview, with a cache
users.py            User and ResourceAttributes
api.py              discovery documents and MetricValueList from a path and a query, pure
selectors.py        label selectors, pure
ttl_cache.py        values that expire
certificates.py     our certificate authorities and serving certificate, in a Secret
tls.py              the port's TLS, which takes over new certificates while it serves
registration.py     our two APIServices
on_demand.py        registered, and running, only while a ChatDeployment needs us
trust_rotation.py   the loop that renews certificates, reloads trust and keeps us registered
"""
