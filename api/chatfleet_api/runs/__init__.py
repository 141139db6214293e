"""Runs: generations that belong to the fleet and not to a request, with an append-only log each."""
