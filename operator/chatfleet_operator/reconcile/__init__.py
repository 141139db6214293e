"""One reconciliation of one ChatDeployment; start at `reconcile`.

reconcile        the steps: observe, decide, carry out, report, requeue
observe          one live snapshot of everything that a decision needs
secrets          which Secrets are read, and which of them are missing, refused or mounted. Pure
instructions     which ConfigMaps with instructions of agents are read, and what they have. Pure
start_failures   why pods do not start, from workloads, volume claims and their Events. Pure
pod_failures     why one pod does not start, from its status. Pure
last_words       the words of others, bounded and without credentials. Pure
decide           from the snapshot to a plan. Pure
repairs          back-off where another client undoes each repair
deletion_cost    which pods an autoscaler should remove first. Pure
carry_out        from the plan to an outcome; failures are values
"""
