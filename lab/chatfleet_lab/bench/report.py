"""From figures to docs/measurements/benchmarks.md. Pure."""

from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from chatfleet_lab.bench.measure import CLIENTS, STEADY, Figures

REFERENCE_YARDSTICK_US: Final = 2.3
"""The yardstick on the machine on which the targets were set."""


class Outcome(msgspec.Struct, frozen=True):
    """One subject and its figures."""

    key: str
    name: str
    figures: Figures


class Result(msgspec.Struct, frozen=True):
    """All that one run of the benchmark found; docs/measurements/benchmarks.json is this."""

    date: str
    rounds: int
    machine: dict[str, str]
    yardstick_us: float
    """Processor time in which Python parses the JSON of one token: how fast the machine was."""
    import_s: float
    outcomes: list[Outcome]
    """The first is the upstream itself."""
    profile: dict[str, float] | None

    def figures(self, key: str) -> Figures | None:
        """Return the figures of a subject, None when it was not measured."""
        return next((outcome.figures for outcome in self.outcomes if outcome.key == key), None)


class Target(NamedTuple):
    """A number to reach. What takes processor time is compared at the speed of the machine on which it was set."""

    what: str
    limit: float
    unit: str
    value: Callable[[Result, Figures, Figures], float | None]
    """From the result, Chatfleet's figures and the upstream's own."""
    timed: bool = True
    """Whether a slower machine makes it larger."""


def _logged_token_us(result: Result) -> float | None:
    """Return what a token costs in a conversation: those of chat completions are not logged."""
    figures = result.figures("chatfleet_conversations")
    return None if figures is None else figures.cpu_per_token_us


TARGETS: Final = (
    Target("CPU per streamed token", 40, "µs", lambda _, ours, __: ours.cpu_per_token_us),
    Target(
        "CPU per streamed token, run log in Redis included", 40, "µs", lambda result, _, __: _logged_token_us(result)
    ),
    Target(
        "added time to first token, p50",
        0.5,
        "ms",
        lambda _, ours, direct: ours.first_token_p50_ms - direct.first_token_p50_ms,
    ),
    Target(
        "added time to first token, p99",
        2,
        "ms",
        lambda _, ours, direct: ours.first_token_p99_ms - direct.first_token_p99_ms,
    ),
    Target("memory, idle", 70, "MB", lambda _, ours, __: ours.idle_mb, timed=False),
    Target("memory per open stream", 40, "KB", lambda _, ours, __: ours.per_stream_kb, timed=False),
    Target("import", 0.5, "s", lambda result, _, __: result.import_s),
    Target("start to first answer", 1.2, "s", lambda _, ours, __: ours.ready_s),
    Target(
        "1,000 streams of 20 tokens/s: added p99 between tokens", 50, "ms", lambda _, ours, __: ours.crowd_gap_p99_ms
    ),
)
DIALECTS: Final = ("chatfleet_messages", "chatfleet_responses", "chatfleet_anthropic")
DIALECT_RATIO: Final = 1.15
"""CPU per token of another dialect, on either side, as a multiple of that of chat completions on both."""
RATIOS: Final = MappingProxyType({"litellm": 35.0, "tensorzero": 1.4, "smg": 0.85})
"""Streams per second and core that Chatfleet is to reach, as multiples of others'."""

_INTRODUCTION: Final = """\
# Benchmarks

Written by `make bench` on {date}; the same figures for programs are in [benchmarks.json](benchmarks.json). Do not edit.

Each subject stands alone on one core, between a load client and an upstream that share another; everything is
loopback. The upstream sends OpenAI chunks of about 270 bytes, each with the time of its sending, so that every token's
delay is known. Rounds, in which the subjects took turns: {rounds}; the medians count. Machines are noisy, and this one
has other work: **compare rows of one run, not runs.**

{machine}
Yardstick: Python parses the JSON of one token in {yardstick:.1f} µs here, and did in {reference} µs where the targets
were set. Under "at that speed", times were divided by {speed:.2f}: an estimate, no measurement.
"""

_COLUMNS: Final = f"""\
- **First token**: one client, streams of 20 tokens; from the request to the first token.
- **Streams/s**: {CLIENTS} clients without a pause, streams of 100 tokens as fast as they come; *per core*: per second
  of the server's processor time.
- **CPU per token**, of which in the **kernel**, and **delay** from the upstream's sending to the client:
  100 streams of {STEADY.rate} tokens/s (LiteLLM: 20); **came**: the share of these tokens that was delivered.
- **Per stream**: growth of the process with 1,000 open streams (LiteLLM: 200).
- **Crowd**: 1,000 streams of 20 tokens/s; CPU per token, and the p99 of the time between two tokens beyond the
  upstream's own. "-": failed, or not run as the server did not deliver 98 % before.
- **Start**: from the start of the process to the end of its first stream.
- **Disturbed**: share of the server's core that other work on the machine took meanwhile; delays of disturbed rows are
  worth little.
"""

_SAMPLED: Final = """\
By the file of the innermost function that was running, sampled from outside (py-spy) under 5,000 tokens/s of
chat completions, which are not logged.
"""

_REPEAT: Final = """\
## Repeat it

```sh
make bench
```

It takes about a quarter of an hour, needs two cores and `redis-server`, and installs the peers once, pinned, under
`~/.cache/chatfleet/bench`. The relay of FastAPI and the `openai` SDK is
`lab/chatfleet_lab/bench/peers/fastapi_openai.py`; how each subject is started is in
`lab/chatfleet_lab/bench/subjects.py`. For fewer subjects, printed and not kept:

```sh
.venv/bin/python -m chatfleet_lab.bench --rounds 1 --only chatfleet fastapi_openai
```
"""


def page(result: Result) -> str:
    """Return the page in Markdown."""
    introduction = _INTRODUCTION.format(
        date=result.date,
        rounds=result.rounds,
        machine=_table(("Machine", ""), result.machine.items()),
        yardstick=result.yardstick_us,
        reference=REFERENCE_YARDSTICK_US,
        speed=_speed(result),
    )
    sections = (introduction, "## Side by side\n", _subjects(result), _COLUMNS, *_ours(result), _REPEAT)
    return "\n".join(sections)


def _ours(result: Result) -> Iterable[str]:
    """Return the sections about Chatfleet, if it was measured."""
    ours = result.figures("chatfleet")
    if ours is None:
        return
    yield "## Targets\n\n" + _targets(result, ours)
    yield "## Ratios\n\nStreams/s per core, Chatfleet with Redis to others in the same run.\n\n" + _ratios(result, ours)
    if any(result.figures(key) for key in DIALECTS):
        yield (
            "## Dialects\n\nCPU per token, to that of chat completions on both sides in the same run.\n\n"
            + _dialects(result, ours)
        )
    if result.profile is not None:
        yield f"## Where the time of a token goes\n\n{_SAMPLED}\n" + _profile(result.profile, ours)


def _subjects(result: Result) -> str:
    head = (
        "Subject",
        "First token p50 / p99 ms",
        "Streams/s",
        "per core",
        "CPU per token µs",
        "kernel",
        "came",
        "Delay p50 / p99 ms",
        "Idle MB",
        "Per stream KB",
        "Crowd CPU µs",
        "Crowd gap ms",
        "Start s",
        "Disturbed",
    )
    return _table(head, ((outcome.name, *_cells(outcome.figures)) for outcome in result.outcomes))


def _cells(of: Figures) -> Iterable[str]:
    return (
        f"{of.first_token_p50_ms:.2f} / {of.first_token_p99_ms:.2f}",
        f"{of.streams_per_s:.0f}",
        f"{of.streams_per_core_s:.0f}",
        f"{of.cpu_per_token_us:.0f}",
        f"{of.kernel_share:.0%}",
        f"{of.delivered:.0%}",
        f"{of.delay_p50_ms:.2f} / {of.delay_p99_ms:.1f}",
        f"{of.idle_mb:.0f}",
        _number(of.per_stream_kb),
        _number(of.crowd_cpu_per_token_us),
        _number(of.crowd_gap_p99_ms),
        f"{of.ready_s:.2f}",
        f"{max(0.0, of.others_share):.0%}",
    )


def _targets(result: Result, ours: Figures) -> str:
    rows = []
    for target in TARGETS:
        value = target.value(result, ours, result.outcomes[0].figures)
        if value is None:
            continue
        compared = value / _speed(result) if target.timed else value
        met = "yes" if compared <= target.limit else f"**no**, {compared / target.limit:.1f} times"
        rows.append((target.what, f"≤ {target.limit:g} {target.unit}", f"{value:.2f}", f"{compared:.2f}", met))
    return _table(("What", "Target", "Measured", "At that speed", "Met"), rows)


def _ratios(result: Result, ours: Figures) -> str:
    goals = {key: f"≥ {goal:g}" for key, goal in RATIOS.items()}
    rows = [
        (
            outcome.name,
            f"{ours.streams_per_core_s / outcome.figures.streams_per_core_s:.2f}",
            goals.get(outcome.key, ""),
            f"{outcome.figures.cpu_per_token_us / ours.cpu_per_token_us:.2f}",
        )
        for outcome in result.outcomes[1:]
        if outcome.key != "chatfleet"
    ]
    return _table(("To", "Streams/s per core", "Target", "Its CPU per token, to ours"), rows)


def _dialects(result: Result, ours: Figures) -> str:
    rows = []
    for outcome in result.outcomes:
        if outcome.key in DIALECTS:
            ratio = outcome.figures.cpu_per_token_us / ours.cpu_per_token_us
            met = "yes" if ratio <= DIALECT_RATIO else "**no**"
            rows.append((outcome.name, f"{ratio:.2f}", f"≤ {DIALECT_RATIO:g}", met))
    return _table(("What", "CPU per token", "Target", "Met"), rows)


def _profile(shares: dict[str, float], ours: Figures) -> str:
    rows = [(name, f"{share:.0%}", f"{share * ours.cpu_per_token_us:.1f}") for name, share in shares.items()]
    return _table(("What", "Share", "µs per token"), rows)


def _speed(result: Result) -> float:
    """Return how many times longer things take here than on the machine on which the targets were set; 1 at least."""
    return max(1.0, result.yardstick_us / REFERENCE_YARDSTICK_US)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
