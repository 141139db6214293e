"""What attempts and checks have shown of each model of one upstream, and how long it counts. Pure.

A check by a request that costs nothing cannot find what only a chat meets: a wrong model, a spent quota, a key that may
list models and not use them. One answer makes a model available. It is unavailable after one failure that is certain to
repeat, or `FAILURES` in a row; those that may pass by themselves must also span `FAILING_SECONDS`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Final, NamedTuple, Self

from pydantic import SecretStr

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.providers.refusals import refused_part
from chatfleet_contract.report import ModelOutcome, State
from chatfleet_contract.spec.providers import Compatibility

FAILURES: Final = 3
"""Failures in a row after which a model is unavailable."""
FAILING_SECONDS: Final = 3.0
"""Time that failures which may pass by themselves must span."""
LASTING_SECONDS: Final = 600.0
"""How long a failure counts that ends with a change at the vendor or of a setting."""
TRANSIENT_SECONDS: Final = 30.0
"""How long another one counts."""
MAX_REASON_CHARS: Final = 300
MAX_LISTED: Final = 2
"""Models whose failures one note names."""

_LASTING: Final = frozenset({Code.UPSTREAM_AUTHENTICATION, Code.MODEL_NOT_FOUND})
_TRANSIENT: Final = frozenset(
    {
        Code.UPSTREAM_RATE_LIMITED,
        Code.UPSTREAM_OVERLOADED,
        Code.UPSTREAM_ERROR,
        Code.UPSTREAM_TIMEOUT,
        Code.UPSTREAM_MALFORMED,
        Code.UPSTREAM_TRUNCATED,
    }
)
_MAYBE_ABOUT_ONE_REQUEST: Final = frozenset({HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})
"""402 for more tokens than the credit allows, 403 for a message that a filter rejects."""


@dataclass(slots=True)
class _Failing:
    """Failures of one model in a row."""

    reason: str
    """Of the newest."""
    certain: bool
    lasting: bool
    key: SecretStr | None
    since: float
    at: float
    unsent: bool
    """Whether the request had no credentials, and so was not sent."""
    count: int = 1


class Verdict(NamedTuple):
    """What requests have shown of an upstream."""

    reasons: str | None
    """Failures that stand."""
    down: bool
    """Whether every model that was requested is unavailable."""


class Outcomes:
    """The newest outcome for each model of one upstream. The models are those of the catalogue, so they are few."""

    def __init__(self, sent: Compatibility, clock: Callable[[], float], recheck: Callable[[], None]) -> None:
        """Judge requests that have what `sent` does not leave out; `recheck` requests a check of the upstream."""
        self._sent = sent
        self._clock = clock
        self._recheck = recheck
        self._answered: dict[str, float] = {}
        self._failing: dict[str, _Failing] = {}
        self._absent: dict[str, float] = {}
        """Models that the vendor does not have, by its list, and since when."""
        self._unlisted: frozenset[str] = frozenset()

    @property
    def any_answered(self) -> bool:
        """Whether the newest request for some model was answered."""
        return bool(self._answered)

    def is_answered(self, model: str) -> bool:
        """Whether the newest request for `model` was answered."""
        return model in self._answered

    def attempt(self, model: str) -> "Attempt":
        return Attempt(self, model)

    def answered(self, model: str) -> None:
        """Forget what failed for `model`; the check that came to the same result is out of date then."""
        self._answered[model] = self._clock()
        if self._failing.pop(model, None):
            self._recheck()
        self._absent.pop(model, None)

    def failed(self, model: str, error: ChatError, *, status: int, key: SecretStr | None) -> None:
        """Remember a failure that is not about its request alone; request a check if one may find the cause."""
        part = refused_part(error, self._sent) if error.code not in _TRANSIENT else None
        misdirected = status == HTTPStatus.METHOD_NOT_ALLOWED  # by a server without this API at this path
        lasting = part is not None or error.code in _LASTING or misdirected
        transient = error.code in _TRANSIENT or (error.code is Code.UPSTREAM_UNAVAILABLE and status > 0)
        if lasting or error.code is Code.UPSTREAM_UNAVAILABLE:
            self._recheck()
        if not (lasting or transient):
            return
        rejected = error.code is Code.UPSTREAM_AUTHENTICATION and status not in _MAYBE_ABOUT_ONE_REQUEST
        unlisted = error.code is Code.MODEL_NOT_FOUND and model in self._unlisted
        now, reason = self._clock(), (error.detail or error.message)[:MAX_REASON_CHARS]
        failing = _Failing(
            reason, part is not None or rejected or unlisted, lasting, key, now, now, rejected and not status
        )
        before = self._failing.get(model)
        if before and self._stands(before):
            failing.count, failing.since = before.count + 1, before.since
            failing.certain = failing.certain or before.certain
            failing.lasting = lasting and before.lasting
        self._answered.pop(model, None)
        self._failing[model] = failing

    def checked(self, key: SecretStr | None, *, recovered: bool) -> None:
        """Forget failures with another key, or without any credentials, because the check had some.

        Forget lasting ones if the upstream `recovered`: it accepts the key again.
        """
        for model, failing in list(self._failing.items()):
            if failing.key != key or failing.unsent or (recovered and failing.lasting):
                del self._failing[model]

    def listed(self, *, absent: Collection[str], unlisted: Collection[str]) -> None:
        """Take over what the list of models shows: models that do not exist, and some that may not."""
        now = self._clock()
        self._absent = {model: self._absent.get(model, now) for model in absent if model not in self._answered}
        self._unlisted = frozenset(unlisted)

    def outcome(self, model: str) -> ModelOutcome | None:
        """Return what is known of `model`; None: nothing. Any thread may call this."""
        now = self._clock()
        if (failing := self._failing.get(model)) and self._is_down(failing):
            return _down(failing.reason, now - failing.at, now - failing.since)
        if (since := self._absent.get(model)) is not None:
            message = f"the provider has no model {model}; correct the name of the model"
            return _down(message, now - since, now - since)
        if (at := self._answered.get(model)) is not None:
            return ModelOutcome(state=State.UP, seconds=now - at)
        return None

    def verdict(self) -> Verdict:
        """Return what follows for the upstream."""
        standing = {model: one for model, one in self._failing.items() if one.lasting and self._stands(one)}
        if not standing:
            return Verdict(None, down=False)
        named = [f"requests for model {model} fail: {one.reason}" for model, one in list(standing.items())[:MAX_LISTED]]
        more = [f"{len(standing) - MAX_LISTED} more models fail"] if len(standing) > MAX_LISTED else []
        down = not self.any_answered and all(map(self._is_down, standing.values()))
        return Verdict("; ".join([*named, *more]), down=down)

    def _stands(self, failing: _Failing) -> bool:
        return self._clock() - failing.at <= (LASTING_SECONDS if failing.lasting else TRANSIENT_SECONDS)

    def _is_down(self, failing: _Failing) -> bool:
        enough = failing.count >= FAILURES and (failing.lasting or failing.at - failing.since >= FAILING_SECONDS)
        return (failing.certain or enough) and self._stands(failing)


def _down(message: str, seconds: float, failing_seconds: float) -> ModelOutcome:
    return ModelOutcome(state=State.DOWN, message=message, seconds=seconds, failing_seconds=failing_seconds)


class Attempt:
    """One attempt at a model: a context that remembers how it failed before its answer began."""

    __slots__ = ("_begun", "_model", "_outcomes", "key", "status")

    def __init__(self, outcomes: Outcomes, model: str) -> None:
        self.key: SecretStr | None = None
        self.status = 0
        """Of the response; 0: there was none."""
        self._outcomes = outcomes
        self._model = model
        self._begun = False

    def answered(self) -> None:
        """Note that the answer begins."""
        self._begun = True
        self._outcomes.answered(self._model)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: TracebackType | None) -> None:
        if isinstance(error, ChatError) and not self._begun:
            self._outcomes.failed(self._model, error, status=self.status, key=self.key)
