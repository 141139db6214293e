"""Lets the garbage collector leave alone what lives as long as the run: tests, modules and their syntax trees.

By default every full collection goes through all of them, a million objects and more: a third of what unit tests
compute (40 of 130 s of CPU), and a sixth of what their collection by pytest does.
"""

import gc

THRESHOLDS = (10_000, 10, 50)
"""Of the three generations; the default is 700, 10, 10. A full collection for each five million new objects."""


def pytest_configure() -> None:
    """Collect no garbage while pytest imports what stays."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Exclude everything that exists before the first test."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    gc.enable()
