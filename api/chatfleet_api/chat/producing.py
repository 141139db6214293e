"""What produces the run of a client's request, whose headers wait for the cache only if the request can be cached."""

from collections.abc import Awaitable, Callable
from functools import partial

from chatfleet_api.chat.turn import RunJob, run_turn
from chatfleet_api.domain import cache_use
from chatfleet_api.providers.response_cache.cacheable import is_cacheable
from chatfleet_api.runs.run import Run


def producing(job: RunJob) -> Callable[[Run], Awaitable[None]]:
    """Return what `StartRun` takes; the task that calls it is that of the request."""
    if is_cacheable(job.request):
        cache_use.expect()
    return partial(run_turn, job)
