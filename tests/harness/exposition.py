"""The metrics that a process exports, in Prometheus' text format."""


def exported(exposition: bytes) -> dict[str, tuple[str, str]]:
    """Return the type and the description of each metric of ours, without the times of creation of counters."""
    lines = exposition.decode().splitlines()
    descriptions, types = (
        dict(line.removeprefix(head).split(" ", 1) for line in lines if line.startswith(head))
        for head in ("# HELP ", "# TYPE ")
    )
    return {
        name: (types[name], text)
        for name, text in descriptions.items()
        if name.startswith("chatfleet_") and not name.endswith("_created")
    }
