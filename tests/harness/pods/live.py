"""Configuration for tests that never changes."""

from typing import TypeVar

from chatfleet_api.domain.live import Live

T = TypeVar("T")


def fixed(value: T) -> Live[T]:
    return Live(lambda: value)
