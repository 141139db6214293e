"""The time to the first token of an agent that was chosen by a model and answers from documents, without the models'.

The scripted models answer at once. What they take is within these figures, so what a pod adds is no more.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from chatfleet_api.agents.catalogue import AgentCatalogue
from chatfleet_api.domain.events import Agent, Token
from chatfleet_api.domain.request import ChatRequest, Message, Routing
from chatfleet_api.knowledge.base import KnowledgeBase
from chatfleet_api.knowledge.grounding import Grounded
from chatfleet_api.providers.provider import Provider
from chatfleet_api.providers.vendors.scripted.provider import Scripted
from chatfleet_contract.runtime import RuntimeAgents, RuntimeMember, RuntimeSupervisor
from chatfleet_contract.spec.agents import AGENT
from chatfleet_contract.spec.knowledge import DocumentsRef, Knowledge, Mode, Source
from chatfleet_lab.knowledge.corpus import BASE, Question, made_chunks
from chatfleet_lab.knowledge.quality import TOP_K

MEMBER: Final = "technical"
ROUTER: Final = "router"
ECHO: Final = "echo"
CHUNKS_OF_A_FILE: Final = 500
KNOWLEDGE: Final = Knowledge(mode=Mode.RAG, top_k=TOP_K, sources=[Source(config_map_ref=DocumentsRef(name=BASE))])
AGENTS: Final = RuntimeAgents(
    supervisor=RuntimeSupervisor(model=ROUTER),
    members=(RuntimeMember(name=MEMBER, description="devices", model=ECHO, instructions="Answer from documents."),),
)


class Routed(NamedTuple):
    """Of one size, in milliseconds."""

    chunks: int
    p50: float
    p95: float
    longest: float


class _NoMeter:
    def retrieved(self, model: str, result: str, seconds: float) -> None:
        """Count nothing."""


async def routed(chunks: int, questions: Sequence[Question], clock: Callable[[], float]) -> Routed:
    """Return how long it takes until the first token of each answer, one at a time."""
    with TemporaryDirectory() as folder:
        _write(Path(folder) / BASE, chunks)
        base = KnowledgeBase(KNOWLEDGE, Path(folder))
        await base.refresh()
        scripted = Scripted(clock=clock, sleep=asyncio.sleep)
        grounded = Grounded(scripted, base, ECHO, meter=_NoMeter(), clock=clock)
        models = {ROUTER: scripted, ECHO: scripted}
        catalogue = AgentCatalogue(models, {}, {}, {}, agents=AGENTS, ground=lambda _, __: grounded)
        supervisor = catalogue.provider(AGENT)
        taken = sorted([await _milliseconds(supervisor, question.text, clock) for question in questions])
    return Routed(chunks, median(taken), taken[int(len(taken) * 0.95)], taken[-1])


def _write(folder: Path, chunks: int) -> None:
    """Write documents of so many sections, each of which becomes a chunk."""
    folder.mkdir()
    made = made_chunks(chunks, Random(1))  # noqa: S311  # the same chunks each time
    for first in range(0, chunks, CHUNKS_OF_A_FILE):
        sections = [f"# Part {first + n}\n{each.text}\n" for n, each in enumerate(made[first:][:CHUNKS_OF_A_FILE])]
        (folder / f"{first:06}.md").write_text("\n".join(sections))


async def _milliseconds(supervisor: Provider, question: str, clock: Callable[[], float]) -> float:
    """Return the time to the first token of an answer, which begins with what was retrieved."""
    request = ChatRequest(AGENT, (Message("user", question),), routing=Routing(last=MEMBER))
    began = clock()
    async with supervisor.open(request) as stream:
        names = [item.name for item in await anext(aiter(stream)) if isinstance(item, Agent)]
        first = next(item for item in await anext(aiter(stream)) if isinstance(item, Token))
        took = (clock() - began) * 1000
    if names != [MEMBER] or not first.text.startswith("<passage"):
        raise ValueError(f"not answered by {MEMBER} from documents: {names}, {first.text}")
    return took
