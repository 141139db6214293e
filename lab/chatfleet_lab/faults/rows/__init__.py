"""The table of faults, one file for each kind; `all` has them together.

pods_not_created      pods and volumes that are not admitted or bound
pods_do_not_start     pods that are created, and whose containers do not run
configuration         Secrets, foreign objects, rejections, rights
autoscaling           an autoscaler that cannot work
drift                 what others change, and the operator puts back
manifests             objects that several files use
"""
