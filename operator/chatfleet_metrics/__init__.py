"""The metrics API server: `custom.metrics.k8s.io` from the pods' own metrics, so that autoscaling needs no Prometheus.

A process of its own from the operator's image: `python -m chatfleet_metrics`.

    __main__.py     composition root: settings, connection, wiring, shutdown
    settings.py     environment variables
    telemetry.py    its own metrics
    demand.py       which ChatDeployments need it
    samples/        what is served: the pods, their scrapes, samples and rates
    apiserver/      how it is served: an aggregated API server with TLS, authentication, authorization, registration

It uses the operator's connection to the API server (`chatfleet_operator.kube`); the operator never imports it.
"""
