"""A base follows its files, serves whole versions, and a provider on it answers with citations."""

import asyncio
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.events import Token
from chatfleet_api.domain.request import ChatRequest, Message
from chatfleet_api.knowledge import base as module
from chatfleet_api.knowledge import sources
from chatfleet_api.knowledge.base import KnowledgeBase
from chatfleet_api.knowledge.contents import Contents
from chatfleet_api.knowledge.documents import Reading
from chatfleet_api.knowledge.library import Library
from chatfleet_api.pod.metrics import Meter
from chatfleet_api.providers.provider import Finish
from chatfleet_contract.spec.knowledge import DocumentsRef, Knowledge, Mode, Source
from harness.pods.runs import STOP, FakeProvider, text
from harness.upstream.catalogue import ask

QUESTION = ["How are refunds paid?"]


def knowledge(mode: Mode = Mode.RAG, tokens: int = 8000) -> Knowledge:
    return Knowledge(mode=mode, context_tokens=tokens, sources=[Source(config_map_ref=DocumentsRef(name="desk"))])


def write(folder: Path, version: int, **documents: str) -> None:
    """Replace the ConfigMap as the kubelet does: a new folder, then one link."""
    target = folder / "desk" / f"..{version}"
    target.mkdir(parents=True)
    for name, content in documents.items():
        (target / f"{name}.md").write_text(content)
        link = folder / "desk" / f"{name}.md"
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}.md")
    (target / "link").symlink_to(target.name)
    (target / "link").rename(folder / "desk" / "..data")


def no_models(_: str) -> NoReturn:
    pytest.fail("no model is needed")


async def texts(base: KnowledgeBase) -> list[str]:
    return [each.text for each in (await base.passages(QUESTION)).retrieved]


async def test_a_change_is_served_after_the_next_look(tmp_path: Path) -> None:
    base = KnowledgeBase(knowledge(), tmp_path)
    write(tmp_path, 1, refunds="Refunds take five days.")
    assert await texts(base) == ["Refunds take five days."]
    write(tmp_path, 2, refunds="Refunds take nine days.", other="Refunds by card.")
    assert await texts(base) == ["Refunds take five days."]
    await base.refresh()
    assert set(await texts(base)) == {"Refunds take nine days.", "Refunds by card."}


async def test_files_that_have_not_changed_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = KnowledgeBase(knowledge(), tmp_path)
    write(tmp_path, 1, refunds="Refunds take five days.")
    await base.refresh()
    monkeypatch.setattr(sources, "read_documents", None)
    await base.refresh()
    assert await texts(base) == ["Refunds take five days."]


async def test_a_version_is_served_until_the_next_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = KnowledgeBase(knowledge(), tmp_path)
    write(tmp_path, 1, refunds="Refunds take five days.")
    await base.refresh()
    building, built = threading.Event(), threading.Event()

    def slowly(*given: object) -> Contents:
        building.set()
        built.wait()
        return Contents(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "Contents", slowly)
    write(tmp_path, 2, refunds="Refunds take nine days.")
    refreshing = asyncio.create_task(base.refresh())
    await asyncio.to_thread(building.wait)
    assert await texts(base) == ["Refunds take five days."]
    built.set()
    await refreshing
    assert await texts(base) == ["Refunds take nine days."]


async def test_a_missing_config_map_is_reported_until_it_is_there(tmp_path: Path) -> None:
    base = KnowledgeBase(knowledge(), tmp_path)
    assert await texts(base) == []
    assert [*base.problems] == ["ConfigMap desk does not exist or has no keys; create it with documents"]
    write(tmp_path, 1, refunds="Refunds take five days.")
    await base.refresh()
    assert not base.problems
    assert await texts(base) == ["Refunds take five days."]


async def test_cag_that_does_not_fit_is_refused_until_it_does(tmp_path: Path) -> None:
    base = KnowledgeBase(knowledge(Mode.CAG, 500), tmp_path)
    write(tmp_path, 1, refunds="word " * 1000)
    with pytest.raises(ChatError) as refused:
        await base.passages(QUESTION)
    assert refused.value.code is Code.KNOWLEDGE_UNAVAILABLE
    assert "knowledge.contextTokens is 500" in str(refused.value)
    assert "knowledge.contextTokens is 500" in base.problems[0]
    write(tmp_path, 2, refunds="word " * 100)
    await base.refresh()
    assert not base.problems
    assert "word word" in (await base.passages(QUESTION)).core


async def test_an_answer_has_the_citations_and_the_provider_the_passages(tmp_path: Path) -> None:
    write(tmp_path, 1, refunds="# Refunds\nThey take five days.", taxes="None.")
    meter, inner = Meter("1"), FakeProvider(text("Five"), [Token(" days."), STOP])
    provider = Library(meter, lambda: 0.0, no_models).grounded(inner, "m", knowledge(), str(tmp_path))
    outcome = await ask(provider, ChatRequest("m", (Message("user", QUESTION[0]),)))
    assert outcome.text == "Five days."
    last = outcome.pieces[-1]
    assert isinstance(last, Finish)
    assert [(each.source, each.chunk) for each in last.citations] == [("desk/refunds.md", 1)]
    assert all(each.score > 0 for each in last.citations)
    assert "They take five days." in str(inner.asked[0].messages[-1].content)
    assert inner.open_streams == 0
    assert b'chatfleet_retrievals_total{model="m",result="found"} 1.0' in meter.exposition()


async def test_an_answer_without_a_fitting_document_has_none(tmp_path: Path) -> None:
    write(tmp_path, 1, refunds="# Refunds\nThey take five days.")
    meter, inner = Meter("1"), FakeProvider([Token("Hi"), STOP])
    provider = Library(meter, lambda: 0.0, no_models).grounded(inner, "m", knowledge(), str(tmp_path))
    outcome = await ask(provider, ChatRequest("m", (Message("user", "Weather?"),)))
    assert outcome.pieces[-1] == STOP
    assert b'chatfleet_retrievals_total{model="m",result="nothing"} 1.0' in meter.exposition()


async def test_models_with_equal_knowledge_share_a_base_that_ends_with_the_last_of_them(tmp_path: Path) -> None:
    library = Library(Meter("1"), lambda: 0.0, no_models)
    providers = [library.grounded(FakeProvider(), name, knowledge(), str(tmp_path)) for name in ("a", "b")]
    await library.refresh()
    assert [*library.problems] == ["ConfigMap desk does not exist or has no keys; create it with documents"]
    providers.clear()
    await asyncio.get_running_loop().run_in_executor(module.READS, lambda: None)  # its thread forgets the last call
    assert not library.problems


async def test_a_defect_in_one_base_is_its_problem_and_the_others_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = Library(Meter("1"), lambda: 0.0, no_models)
    write(tmp_path, 1, refunds="Refunds take five days.")
    provider = library.grounded(FakeProvider(text("Five")), "m", knowledge(), str(tmp_path))
    other = library.grounded(FakeProvider(text("Five")), "m", knowledge(tokens=500), str(tmp_path))

    def broken(given: Knowledge, reading: Reading) -> Contents:
        if given.context_tokens == 500:
            raise RuntimeError
        return Contents(given, reading)

    monkeypatch.setattr(module, "Contents", broken)
    await library.refresh()
    problem = "the documents of desk cannot be indexed (RuntimeError); see the log"
    assert [*library.problems] == [problem]
    request = ChatRequest("m", (Message("user", QUESTION[0]),))
    assert (await ask(provider, request)).text == "Five"
    refused = (await ask(other, request)).error
    assert refused is not None
    assert (refused.code, refused.detail) == (Code.KNOWLEDGE_UNAVAILABLE, problem)
    monkeypatch.undo()
    await library.refresh()
    assert not library.problems
