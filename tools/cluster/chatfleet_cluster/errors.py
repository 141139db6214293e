"""The one error that this tool raises on purpose."""


class ClusterError(Exception):
    """Something stands in the way. The message says what, and what the user can do about it."""
