"""Truthful endings: whatever an upstream does, at whatever moment, no client is told that a broken answer is whole."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from http import HTTPStatus
from itertools import product
from typing import TypeAlias

from chatfleet_contract.runtime import RuntimeTimeouts
from chatfleet_lab.chaos.fleet import MODELS, PATIENT, QUICK, Settings, copy_of
from chatfleet_lab.chaos.scenario import Findings, Judgement, Scenario, Trial
from chatfleet_lab.chaos.verdict import Verdict, listed, outcome
from harness.clients.client import CLIENT_APIS, ClientAPI, Question
from harness.faults.proxy import Proxy
from harness.faults.toxics import Faults, Toxics
from harness.net import LOOPBACK
from harness.upstream.script import Fault, FaultKind, Script

TOKENS = 12
AT_ONCE = 48
PER_COPY = 4
"""Questions for each copy of an upstream: with two signs each, a token and a failure, too few to spare it."""
ROUNDS = {"short": 1, "long": 3}
MOMENTS = (0, TOKENS // 2, TOKENS)
"""Tokens that have come when the fault strikes; at the last only the word that the answer is whole is missing."""
WITHIN: tuple[FaultKind, ...] = ("reset", "cut", "end", "unreasoned", "half", "stall", "error", "garbage")
INSTEAD = (
    Fault("content_type"),
    Fault("headers"),
    Fault("status", status=401),
    Fault("status", status=500),
    Fault("status", status=529),
)
"""Faults that leave no answer at all."""
FAULTS = (*(Fault(kind, after) for kind, after in product(WITHIN, MOMENTS)), *INSTEAD)
LIMITED = Fault("status", status=429, retry_after="7")
"""It pauses a model for all pods and clients, so it gets a fleet of its own."""

TRUNCATED = frozenset({"upstream_truncated"})
SILENT: tuple[FaultKind, ...] = ("stall", "headers")
"""Faults that only a deadline tells: they get a fleet whose deadlines are short."""
TLS_RESET = Fault("reset")
"""Struck by a proxy, in the TLS handshake, before the upstream hears of anything."""
CODES: dict[FaultKind | int, frozenset[str]] = {
    "cut": TRUNCATED,
    "end": TRUNCATED,
    "unreasoned": TRUNCATED,
    "reset": TRUNCATED | {"upstream_unavailable"},  # before or after the headers
    "half": TRUNCATED | {"upstream_malformed"},
    "garbage": frozenset({"upstream_malformed"}),
    "content_type": frozenset({"upstream_malformed"}),
    "stall": frozenset({"upstream_timeout", "upstream_stalled"}),
    "headers": frozenset({"upstream_timeout"}),
    "error": frozenset({"upstream_error", "upstream_overloaded"}),
    401: frozenset({"upstream_authentication"}),
    429: frozenset({"upstream_rate_limited", "rate_limit_exceeded"}),
    500: frozenset({"upstream_error"}),
    529: frozenset({"upstream_overloaded"}),
}
"""The codes that tell each fault, by its kind or HTTP status."""
Asked: TypeAlias = tuple[str, Fault | None, ClientAPI]
"""A model, what goes wrong, and what the client speaks."""
HONEST = frozenset({Verdict.INTERRUPTED, Verdict.REFUSED})


async def play(trial: Trial) -> Findings:
    """Ask for answers that all go wrong, and for some that do not."""
    rounds = ROUNDS[trial.size]
    silent = [fault for fault in FAULTS if fault.kind in SILENT]
    told = [None, *(fault for fault in FAULTS if fault not in silent)]
    async with Proxy(trial.upstream.port) as line:
        await line.set(Faults(up=Toxics(cut_after=1)))
        by_tls = f"https://{LOOPBACK}:{line.port}"
        judged = [
            *await _ask(trial, told * rounds, PATIENT),
            *await _ask(trial, silent * rounds, QUICK),
            *await _ask(trial, [LIMITED] * rounds, PATIENT),
            *await _ask(trial, [TLS_RESET] * rounds, PATIENT, origin=by_tls),
        ]
    return findings(judged)


async def _ask(
    trial: Trial, faults: Sequence[Fault | None], timeouts: RuntimeTimeouts, *, origin: str | None = None
) -> list[Judgement]:
    """Ask for answers with these faults, of every model in every dialect, where the upstream is at `origin`."""
    dialects: tuple[ClientAPI, ...] = CLIENT_APIS if trial.protected else ("openai",)
    most = trial.place.most_copies * PER_COPY // len(dialects)
    parts = [faults[begin : begin + most] for begin in range(0, len(faults), most)]
    settings = Settings(timeouts, server=trial.server)
    return [
        judged
        for part in parts
        for judged in await _ask_fleet(trial, list(product(MODELS, part, dialects)), settings, origin)
    ]


async def _ask_fleet(trial: Trial, asked: list[Asked], settings: Settings, origin: str | None) -> list[Judgement]:
    """Ask one fleet."""
    trial.random.shuffle(asked)
    models = _spread(model for model, _, _ in asked)
    origins = dict.fromkeys(models, origin) if origin else {}
    copies = -(-len(asked) // len(MODELS) // PER_COPY)
    questions = [
        Question(Script(trial.key(), TOKENS, gap=0.001, always=fault), model, dialect)
        for model, (_, fault, dialect) in zip(models, asked, strict=True)
    ]
    async with trial.fleet(replace(settings, copies=copies, origins=origins)) as fleet:
        return await trial.ask_all(questions, lambda: fleet.url, at_once=AT_ONCE)


def _spread(models: Iterable[str]) -> list[str]:
    """Return, for each model, the copy of it that is asked."""
    asked: Counter[str] = Counter()
    spread = []
    for model in models:
        spread.append(copy_of(model, asked[model] // PER_COPY))
        asked[model] += 1
    return spread


def findings(judged: Iterable[Judgement]) -> Findings:
    """Count what is true and what is not. Pure."""
    found = Findings()
    verdicts: Counter[Verdict] = Counter()
    for question, received, verdict in judged:
        fault = question.script.always
        what = f"{fault or 'an answer'} of {question.model} to a client of {question.dialect}"
        verdicts[verdict] += 1
        if fault is None:
            found.require(verdict is Verdict.COMPLETE, f"Without a fault, {what} ended as {verdict}.")
            continue
        found.require(verdict in HONEST, f"{what} ended as {outcome(verdict, received)}.")
        told = CODES[fault.status if fault.kind == "status" else fault.kind]
        found.require(told.issuperset(received.ends), f"{what} ended with {listed(received.ends)}.")
        if fault.retry_after and received.status != HTTPStatus.OK:
            left = float(received.retry_after or 0)
            found.require(0 < left <= float(fault.retry_after), f"{what} lost its Retry-After.")
    found.figures = {
        "answers": verdicts.total(),
        **{verdict.value: number for verdict, number in sorted(verdicts.items())},
    }
    return found


SCENARIO = Scenario(
    "truthful endings",
    "Every upstream fault, at every moment, reaches clients of every dialect as an error, never as success.",
    "a relay that forwards tokens and ends its streams as most do",
    play,
    hurt=("answers",),
    targets={"false_success": "0", "hung": "0"},
    aim="30 faults at first, middle and last token, for every type of provider and three dialects",
    on_node=True,
)
