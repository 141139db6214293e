"""A real one-node Kubernetes on a bare Linux machine, for development and tests. The product never imports it."""
