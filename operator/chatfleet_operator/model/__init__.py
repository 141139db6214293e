"""The ground: what a reconciliation is about, without any I/O.

values          what was observed, what is desired, the plan, the outcome
defaults        what the operator's settings decide where the spec does not
requeue         when the next reconciliation is due: the result
named_secrets   which Secrets a spec names, and which of them it may use
start_failure   why pods do not start
token_issuer    who signs the tokens of ServiceAccounts
metrics_api     who serves the metrics of pods
ports           what a reconciliation needs from outside: Cluster, Prober, Recorder, Metrics
errors          Retry and Refused, named by the action of the caller
moments         times as Kubernetes writes them
parse           from the API server's JSON to values
pod_report      from the response of a pod to a bounded report
compare         does a live object hold what we want?
difference      where it differs, and which field manager has made it so
conflict        another client that changes an object again after each repair
put_back        THE list of fields that we do not set and that are ours all the same
ownership       whose an object is, and which field managers are ours
"""
