"""Keeps the archive of a pod's ChatDeployment: one pod writes, by a lease; each watches PostgreSQL and the queue."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from chatfleet_api.archive.changes import Changes, note_archived, note_unarchived, read_changes
from chatfleet_api.archive.marks import MAX_MARKED, UNARCHIVED_SECONDS, Marked, Marks, Queued
from chatfleet_api.domain.errors import ChatError
from chatfleet_api.domain.live import Live
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.lease import Lease
from chatfleet_contract.report import Dependency, State
from chatfleet_contract.runtime import RuntimeConfig

if TYPE_CHECKING:
    from chatfleet_api.archive.postgres import PostgresArchive

BATCH: Final = 100
"""Conversations in one transaction; half as many after each failure, in case that they were too many."""
POLL_SECONDS: Final = 0.5
"""Between two looks at the queue while nothing is due."""
CHECK_SECONDS: Final = 3.0
FIRST_RETRY_SECONDS: Final = 0.5
MAX_RETRY_SECONDS: Final = 10.0
NEARLY_FULL: Final = 0.8

logger = logging.getLogger(__name__)


class ArchiveKeeper:
    """The archive as one pod has it. Plain values are read by the thread that answers probes."""

    def __init__(self, redis: RedisClient, config: Live[RuntimeConfig], lease: Lease, marks: Marks) -> None:
        self._redis, self._config, self._lease, self._marks = redis, config, lease, marks
        self._archive: PostgresArchive | None = None
        self._file: str | None = None
        self._term: int | None = None
        self._batch, self._retry = BATCH, FIRST_RETRY_SECONDS
        self.state: Dependency | None = None
        """None: there is no archive."""
        self.queued = 0
        """Conversations that wait."""
        self.oldest_seconds = 0.0
        """For how long the first of them has waited."""
        self._failed: dict[tuple[str, str], int] = {}
        """When those were marked that were tried and are not archived."""
        self.messages = 0
        """Messages that this pod has written."""

    @property
    def down(self) -> bool:
        """Whether PostgreSQL could not be used when it was last checked."""
        return self.state is not None and self.state.state is State.DOWN

    async def available(self) -> "PostgresArchive | None":
        """Return the archive to read from; None while it is known to be down."""
        return None if self.down else await self._opened()

    async def watch(self) -> None:
        """Check PostgreSQL and the queue as long as this task lives."""
        while True:
            self.state = await self._checked()
            await asyncio.sleep(CHECK_SECONDS)

    async def run(self) -> None:
        """Write as long as this task lives, while this pod has the lease."""
        try:
            while True:
                pause = await self._step()
                await asyncio.sleep(pause)
        finally:
            with suppress(ChatError):
                await self._lease.release()
            archive, self._archive = self._archive, None
            if archive is not None:
                await archive.aclose()

    async def _step(self) -> float:
        """Archive what is due; returns the seconds until the next step."""
        archive = await self._opened()
        if archive is None or not await self._lease.hold():
            self._term = None
            self._failed.clear()  # of another pod from now on
            return CHECK_SECONDS
        from chatfleet_api.archive.postgres import TermLostError, UnavailableError  # noqa: PLC0415  # only with an archive

        try:
            if self._term is None:
                self._term = await archive.begin_term()
            wanted = self._batch
            found, failed = await self._marks.look(wanted), {*self._failed}
            if due := [each for each in found.due if each[:2] not in failed]:
                await self._write(archive, self._term, found._replace(due=due), wanted=wanted)
            if again := [each for each in found.due if each[:2] in failed]:  # one a step: it may outlast the lease
                await self._write(archive, self._term, found._replace(due=again[:1]), wanted=1)
            self._batch, self._retry = min(2 * wanted, BATCH), FIRST_RETRY_SECONDS
        except TermLostError:
            self._term = None
            self._failed.clear()
            return CHECK_SECONDS
        except (UnavailableError, ChatError) as error:
            logger.debug("Nothing is archived: %s", error)
            self._batch = max(1, self._batch // 2)
            self._retry = min(2 * self._retry, MAX_RETRY_SECONDS)
            return self._retry
        return 0.0 if len(found.due) == wanted else POLL_SECONDS

    async def _write(self, archive: "PostgresArchive", term: int, found: Queued, *, wanted: int) -> None:
        """Write one batch. One that alone is too much for Redis or PostgreSQL stops no other."""
        from chatfleet_api.archive.postgres import TooSlowError  # noqa: PLC0415  # only with an archive

        changes: Sequence[Changes] = ()
        try:
            changes = await read_changes(self._redis, found.due)
            failed = await _rejected(archive, term, changes)
        except (ChatError, TooSlowError) as error:
            if wanted > 1:
                raise  # fewer are wanted next time; until then, a delay may pass
            detail = error.detail if isinstance(error, ChatError) else None
            changes, failed = (), {found.due[0]: detail or str(error)}
        done = [each for each in changes if each.marked not in failed]
        self.messages += sum(len(each.messages) for each in done)
        ttl_seconds = self._config().conversations.ttl_seconds
        await note_archived(self._redis, done, ttl_seconds)
        await note_unarchived(self._redis, tuple(failed), max(ttl_seconds, UNARCHIVED_SECONDS))
        outcomes = [(each.marked, "more" if each.more else "done") for each in done]
        await self._marks.settle(found.at, [*outcomes, *((each, "failed") for each in failed)])
        self._note(done, failed)

    def _note(self, done: Sequence[Changes], failed: Mapping[Marked, str]) -> None:
        for each in done:
            self._failed.pop(each.marked[:2], None)
        for marked, why in failed.items():
            self._failed.setdefault(marked[:2], marked.at)
            logger.error("Conversation %s of tenant %s is not archived: %s", marked.conversation, marked.tenant, why)

    async def _opened(self) -> "PostgresArchive | None":
        """Return the archive of the current configuration, None when there is none; one for all who call at once."""
        config, former = self._config(), self._archive
        if config.archive_url_file != self._file:
            self._archive, self._file = None, config.archive_url_file
            if former is not None:
                await former.aclose()  # meanwhile others may open the next one
        if self._file is not None and self._archive is None:
            from chatfleet_api.archive.postgres import PostgresArchive  # noqa: PLC0415  # only with an archive

            self._archive = PostgresArchive(_reader(self._file), f"{config.namespace}/{config.deployment}")
        return self._archive

    async def _checked(self) -> Dependency | None:
        archive = await self._opened()
        if archive is None:
            self.queued, self.oldest_seconds = 0, 0.0
            return None
        with suppress(ChatError):
            found = await self._marks.look(0)
            oldest = min(self._failed.values(), default=found.at)
            self.queued, self.oldest_seconds = found.size, max(found.age, (found.at - oldest) / 1000)
        from chatfleet_api.archive.postgres import UnavailableError  # noqa: PLC0415  # only with an archive

        try:
            await archive.check()
        except UnavailableError as error:
            if not self.down:
                logger.warning("The archive cannot be used: %s", error)
            return Dependency(state=State.DOWN, message=f"{error}; {_waiting(self.queued)}")
        if self.down:
            logger.warning("The archive can be used again")
        behind = f"it is behind: {_waiting(self.queued)}" if self.queued > NEARLY_FULL * MAX_MARKED else None
        return Dependency(state=State.UP, message=behind)


async def _rejected(archive: "PostgresArchive", term: int, changes: Sequence[Changes]) -> dict[Marked, str]:
    """Write changes, and return which PostgreSQL does not take, and why: found by writing each conversation alone."""
    from chatfleet_api.archive.postgres import RejectedRowsError  # noqa: PLC0415  # only with an archive

    found: dict[Marked, str] = {}
    try:
        await archive.write(changes, term)
    except RejectedRowsError:
        for each in changes:
            try:
                await archive.write([each], term)
            except RejectedRowsError as error:
                found[each.marked] = str(error)
    return found


def _waiting(queued: int) -> str:
    return f"conversations that wait: {queued:,} of at most {MAX_MARKED:,}"


def _reader(file: str) -> Callable[[], str]:
    return lambda: Path(file).read_text(encoding="utf-8").strip()
