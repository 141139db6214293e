"""The error of this tool."""


class ClusterError(Exception):
    """The command cannot go on. The message has the cause and the remedy."""
