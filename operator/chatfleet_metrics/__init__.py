"""The metrics adapter: `custom.metrics.k8s.io` from the pods' own figures, so that autoscaling needs no Prometheus.

A process of its own from the operator's image (`python -m chatfleet_metrics`). `__main__` wires it:

    pods.py      which pods there are            api.py            request -> document, pure
    scrape.py    their /metrics, all the time    authentication.py, authorization.py: who asks, and may they
    fleet.py     what each said last             server.py         a request's way
    samples.py   figures, rates, staleness       certificates.py, tls.py, registration.py: how the API server finds us
"""
