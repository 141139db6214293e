"""Metrics that every process has."""

from typing import Final

from chatfleet_contract.metric_row import Kind, Metric

PROCESS_METRICS: Final = (
    Metric("process_cpu_seconds_total", Kind.COUNTER, (), "CPU time, user and system."),
    Metric("process_resident_memory_bytes", Kind.GAUGE, (), "Resident memory."),
    Metric("process_virtual_memory_bytes", Kind.GAUGE, (), "Virtual memory."),
    Metric("process_start_time_seconds", Kind.GAUGE, (), "Start of the process, in seconds since 1970 (UTC)."),
    Metric("process_open_fds", Kind.GAUGE, (), "Open file descriptors."),
    Metric("process_max_fds", Kind.GAUGE, (), "Maximum of open file descriptors."),
)
"""Of prometheus_client's ProcessCollector, which has descriptions of its own."""
