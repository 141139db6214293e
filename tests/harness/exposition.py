"""The metrics that a process exports."""

from prometheus_client import CollectorRegistry, generate_latest


def exported(registry: CollectorRegistry) -> dict[str, str]:
    """Return the description of each metric, without the times of creation that clients add to counters."""
    heads = [line.split(" ", 3)[2:] for line in generate_latest(registry).decode().splitlines() if "# HELP" in line]
    return {name: text for name, text in heads if not name.endswith("_created")}
