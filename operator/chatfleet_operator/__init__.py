"""The operator: it keeps the objects of every ChatDeployment in line with its spec, and writes its status.

__main__     wiring, from settings to a running process     watches    Kopf: watch events to the work queue
reconcile/   one reconciliation; start at reconcile.reconcile
children/    the objects that should exist                  status/    conditions and status
model/       values, ports, errors                          kube/      the API server
process/     work queue, leader election, health, settings, telemetry

Imports go one way: __main__ > watches > kube > process > reconcile > status > children > model.
"""
