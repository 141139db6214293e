"""What the pods of a fleet let each other know of upstreams, in Redis: pauses, and circuit breakers that have opened.

- `upstreams`: a stream of news, which each pod reads with one command that waits in Redis
- `quota:<provider>/<model>`: a hash with the end of a pause (`until`, the server's time in ms), and the probe that is
  under way (`probe`: until when it counts, `owner`)

The hash decides, the news are fast. While Redis is unreachable each pod works alone, and makes its own pauses known
when it returns.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from chatfleet_api.domain.errors import ChatError
from chatfleet_api.providers.policies.quota import LEASE_SECONDS, LONGEST_PAUSE_SECONDS, Scope
from chatfleet_api.providers.quotas import Quotas
from chatfleet_api.redis.client import RedisClient
from chatfleet_api.redis.connect import Command

BLOCK_SECONDS: Final = 0.5
"""How long a command waits in Redis for news."""
RETRY_SECONDS: Final = 0.5
MOST_NEWS: Final = 500
"""Entries of the stream. There are a few for each pause."""
KEEP_MS: Final = round(1000 * (LONGEST_PAUSE_SECONDS + 60))
"""How long a pause is known that no pod has probed, and how long news are kept."""
CIRCUIT_MS: Final = 30_000
"""How old the news of a circuit breaker may be."""
_LONGEST_MS: Final = round(1000 * LONGEST_PAUSE_SECONDS)

_ADD: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function add(kind, ms)
  redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[1], '*', 'kind', kind, 'about', ARGV[2], 'ms', ms, 'pod', ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
"""
_PAUSE: Final = f"""{_ADD}
local before = tonumber(redis.call('HGET', KEYS[2], 'until') or '0')
local ends = math.max(now + tonumber(ARGV[5]), math.min(before, now + tonumber(ARGV[6])))
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'until', string.format('%.0f', ends))
redis.call('PEXPIRE', KEYS[2], ARGV[4])
add('pause', string.format('%.0f', ends - now))
"""
_RESUME: Final = f"""{_ADD}
if redis.call('HGET', KEYS[2], 'owner') == ARGV[3] then
  redis.call('DEL', KEYS[2])
  add('resume', 0)
end
"""
_RELEASE: Final = f"""{_ADD}
if redis.call('HGET', KEYS[2], 'owner') == ARGV[3] then
  redis.call('HDEL', KEYS[2], 'probe', 'owner')
  add('release', 0)
end
"""
_CIRCUIT: Final = f"{_ADD} add('circuit', 0)"
_NOW: Final = "local time = redis.call('TIME'); return time[1] * 1000 + math.floor(time[2] / 1000)"
"""Milliseconds, of the server that has the key."""
_PROBE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = redis.call('HMGET', KEYS[1], 'until', 'probe', 'owner')
if not known[1] then return -1 end
if now < tonumber(known[1]) then return tonumber(known[1]) - now end
if known[2] and known[3] ~= ARGV[1] and now < tonumber(known[2]) then return tonumber(known[2]) - now end
redis.call('HSET', KEYS[1], 'probe', string.format('%.0f', now + tonumber(ARGV[2])), 'owner', ARGV[1])
return 0
"""
"""Decides about a probe: -1 if there is no pause, 0 if the pod makes it, else the milliseconds until one may be."""

logger = logging.getLogger(__name__)


class FleetNews:
    """This pod's part: a `Fleet` of policies, and the reader of what the others let know."""

    def __init__(
        self,
        redis: RedisClient,
        quotas: Quotas,
        *,
        pod: str,
        suspect: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """Call `suspect` with each provider whose circuit breaker has opened in another pod."""
        self._redis = redis
        self._quotas = quotas
        self._pod = pod
        self._suspect = suspect
        self._clock = clock
        self._unsent: dict[Scope, float] = {}
        """Pauses that Redis has not got, and when they end."""
        self._tasks: set[asyncio.Future[object]] = set()
        self._warned = False

    def paused(self, scope: Scope, seconds: float) -> None:
        self._unsent[scope] = self._clock() + seconds
        self._begin(self._send_pause(scope))

    def resumed(self, scope: Scope) -> None:
        self._unsent.pop(scope, None)
        self._begin(self._send(self._news(_RESUME, scope)))

    def released(self, scope: Scope) -> None:
        self._begin(self._send(self._news(_RELEASE, scope)))

    def circuit_opened(self, provider: str) -> None:
        self._begin(self._send(self._news(_CIRCUIT, Scope(provider, ""))))

    async def probe(self, scope: Scope) -> float | None:
        """Decide together; alone, while Redis is unreachable."""
        lease = round(1000 * LEASE_SECONDS)
        try:
            wait = await self._redis.call("EVAL", _PROBE, 1, quota_key(self._redis, scope), self._pod, lease)
        except ChatError:
            return 0.0
        return None if wait < 0 else wait / 1000

    async def run(self) -> None:
        """Read news until cancelled."""
        while True:
            try:
                await self._follow()
            except ChatError as error:
                self._warn(error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        """Read all news, and wait for more; raises `ChatError` when Redis cannot be used."""
        after = "0-0"
        while True:
            for scope in list(self._unsent):
                await self._send_pause(scope)
            entries = await self._redis.wait_for_entries(news_key(self._redis), after, seconds=BLOCK_SECONDS)
            self._warned = False
            if not entries:
                continue
            now = await self._redis.call("EVAL", _NOW, 1, news_key(self._redis))
            for entry, fields in entries:
                after = entry.decode()
                self._apply(fields, age=now - int(after.partition("-")[0]))

    def _apply(self, fields: dict[bytes, bytes], *, age: int) -> None:
        kind, about, ms, pod = (fields[name].decode() for name in (b"kind", b"about", b"ms", b"pod"))
        provider, _, model = about.partition("/")
        if kind == "circuit":
            if pod != self._pod and age < CIRCUIT_MS:
                self._suspect(provider)
            return
        quota = self._quotas.find(Scope(provider, model))
        if quota is None:
            return
        match kind:
            case "pause":
                quota.pause((int(ms) - max(age, 0)) / 1000)
            case "resume":
                quota.resume()
            case "release":
                quota.free_probe()
            case _:  # of a newer release
                return

    async def _send_pause(self, scope: Scope) -> None:
        left = self._unsent.get(scope, 0.0) - self._clock()
        if left <= 0 or await self._send(self._news(_PAUSE, scope, round(1000 * left), _LONGEST_MS)):
            self._unsent.pop(scope, None)

    async def _send(self, command: Command) -> bool:
        """Send news; returns whether Redis has got them."""
        try:
            await self._redis.call(*command)
        except ChatError:
            return False
        return True

    def _news(self, script: str, scope: Scope, *arguments: int) -> Command:
        keys = (news_key(self._redis), quota_key(self._redis, scope))
        about = "/".join(scope)
        return ("EVAL", script, len(keys), *keys, MOST_NEWS, about, self._pod, KEEP_MS, *arguments)

    def _begin(self, sending: Coroutine[Any, Any, object]) -> None:
        task = asyncio.ensure_future(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _warn(self, error: ChatError) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("News of other pods about upstreams cannot be read: %s", error.detail)


def news_key(redis: RedisClient) -> str:
    return redis.shared_key("upstreams")


def quota_key(redis: RedisClient, scope: Scope) -> str:
    return redis.shared_key(f"quota:{scope.provider}/{scope.model}")
