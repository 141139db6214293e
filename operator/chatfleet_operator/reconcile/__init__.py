"""One reconciliation of one ChatDeployment; start at `reconcile`.

reconcile        the steps: observe, decide, carry out, report, requeue
observe          one live snapshot of everything that a decision needs
decide           from the snapshot to a plan. Pure
deletion_cost    which pods an autoscaler should remove first. Pure
carry_out        from the plan to an outcome; failures are values
"""
