"""The table of faults, one file for each kind; `all` has them together.

pods_not_created      pods and volumes that are not admitted or bound
pods_do_not_start     pods that are created, and whose containers do not run
providers, redis      what running pods depend on
configuration         Secrets, foreign objects, rejections, rights
agents                ConfigMaps with instructions
knowledge             documents that pods cannot get
autoscaling           an autoscaler that cannot work
cluster               processes of the node and of the release
operators             the operator and the metrics API server themselves
drift                 what others change, and the operator puts back
manifests             objects that several files use
"""
