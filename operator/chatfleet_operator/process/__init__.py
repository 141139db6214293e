"""What makes a process of the operator, and knows no Kubernetes client.

workqueue    the work queue: requeue, back-off, resync        leader       leader election by a Lease
settings     from the environment                             health       /live, /ready, /metrics; the loop's heartbeat
telemetry    logs and metrics                                 recorder     Kubernetes Events, rate-limited
prober       reports of pods, a request through a Service
"""
