"""Records what real pods, operators and metrics API servers export while something is wrong, for tests of the alerts.

recording      what is recorded: series before and after, of each target
replay         the same as series that go on, for promtool
pods           pods that are well, late, full, killed, paused, or without Redis or an upstream
control_plane  operators and metrics API servers that are well, without a Lease, in conflict, not registered

`python -m chatfleet_lab.alerts` writes `tests/contract/alerts/recorded.json`.
"""
