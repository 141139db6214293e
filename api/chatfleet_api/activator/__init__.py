"""The activator: holds requests while there is no API pod, and proxies them to one as soon as one is ready.

A process of its own, from the API's image (Knative has one of the same name). It is in the path of requests only while
the Deployment is at zero replicas, or on its way there or back. It knows no conversation, no model and no API key.

activator   THE page: wait for a pod, proxy the request, relay the response
pending     the bounded number of pending requests, and the pods that they wait for
backend     the API pods behind their Service: readiness, proxied request and response
response    the response to a client that waits: opened early for a stream, with heartbeats
app         the applications of the serving port and the health port
"""
