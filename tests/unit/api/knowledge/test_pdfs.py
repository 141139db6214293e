"""Texts of PDFs are found by a process of its own, which no PDF outlives its bounds in, once for each file."""

import json
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from chatfleet_api.knowledge import pdf_texts as module
from chatfleet_api.knowledge.base import KnowledgeBase
from chatfleet_api.knowledge.pdf_texts import PDF_SECONDS, READING_SECONDS, RETRY_SECONDS, PdfTexts
from chatfleet_api.knowledge.volumes import Volume
from chatfleet_contract.names import KNOWLEDGE_VOLUMES
from chatfleet_contract.spec.knowledge import Knowledge, Source, VolumeClaimRef
from harness.pdf import pdf_bomb, pdf_in_a_circle, pdf_of, pdf_of_contents

QUESTION = ["How are refunds paid?"]


def text(content: bytes) -> str:
    texts = PdfTexts()
    texts.begin()
    return texts.text("a", lambda: content)


def test_pages_are_apart_and_empty_ones_are_left_out() -> None:
    assert text(pdf_of("A refund takes five days.", " ", "Taxes.")) == "A refund takes five days.\n\nTaxes."


def test_a_pdf_that_others_wrote_is_read() -> None:
    figure, written = Figure(), BytesIO()
    figure.text(0.1, 0.5, "A refund takes five days.")
    figure.savefig(written, format="pdf")
    assert text(written.getvalue()) == "A refund takes five days."


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        pytest.param(b"garbage", "it is no PDF that can be read (PdfStreamError)", id="garbage"),
        pytest.param(pdf_of(" "), "it has no text, perhaps because it is scanned", id="scan"),
        pytest.param(pdf_in_a_circle(), "it is no PDF that can be read", id="circle"),
        pytest.param(pdf_of(*[" "] * 2001), "it has more than 2000 pages; split it", id="pages"),
        pytest.param(pdf_bomb(), "it ", id="bomb"),
        pytest.param(
            pdf_of_contents([b""], "/Encrypt << /Filter /Standard /V 1 /R 2 /O (a) /U (b) /P 0 >> /ID [(a) (a)]"),
            "it is encrypted; store it without a password",
            id="encrypted",
        ),
    ],
)
def test_what_cannot_be_read_has_its_cause(content: bytes, cause: str) -> None:
    with pytest.raises(ValueError, match="; ") as wrong:
        text(content)
    assert str(wrong.value).startswith(cause)


def test_a_pdf_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PDF_SECONDS", 1)
    endless = pdf_of_contents([b"BT /F1 12 Tf " + b"1 0 Td (a) Tj " * 3_000_000 + b"ET"])
    with pytest.raises(ValueError, match="its text is not found"):
        text(endless)


@pytest.mark.parametrize(
    ("end", "reads"),
    [
        pytest.param(subprocess.TimeoutExpired("", PDF_SECONDS), 2, id="late"),
        pytest.param(subprocess.CompletedProcess("", -signal.SIGKILL), 2, id="killed"),
        pytest.param(subprocess.CompletedProcess("", 1), 1, id="defect"),
    ],
)
def test_a_process_that_was_ended_is_tried_again_after_a_pause(
    end: subprocess.TimeoutExpired | subprocess.CompletedProcess[bytes], reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, loaded = 0.0, list[bytes]()

    def run(*_: object, **__: object) -> subprocess.CompletedProcess[bytes]:
        if isinstance(end, subprocess.TimeoutExpired):
            raise end
        return end

    def load() -> bytes:
        loaded.append(b"")
        return b""

    texts = PdfTexts(lambda: now)
    monkeypatch.setattr(subprocess, "run", run)
    for moment in (0.0, RETRY_SECONDS - 1, RETRY_SECONDS):
        now = moment
        texts.begin()
        with pytest.raises(ValueError, match="its text is not found"):
            texts.text("a", load)
    assert len(loaded) == reads


def test_the_pod_itself_never_imports_the_parser() -> None:
    program = "import sys; import chatfleet_api.knowledge.sources; print('pypdf' in sys.modules)"
    done = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def test_a_reading_begins_no_pdf_after_its_time_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / KNOWLEDGE_VOLUMES / "docs"
    root.mkdir(parents=True)
    for name in "abc":
        (root / f"{name}.pdf").write_bytes(name.encode())
    (root / "d.md").write_text("Refunds: d.")
    now, converted = 0.0, list[bytes]()

    def slowly(content: bytes) -> str:
        nonlocal now
        now += READING_SECONDS + 1
        converted.append(content)
        if content == b"b":
            raise ValueError("it is encrypted; store it without a password")
        return f"Refunds: {content.decode()}."

    monkeypatch.setattr(module, "_text", slowly)
    monkeypatch.setattr("chatfleet_api.knowledge.sources.PdfTexts", lambda: PdfTexts(lambda: now))
    base = KnowledgeBase(Knowledge(sources=[Source(volume_claim_ref=VolumeClaimRef(name="docs"))]), tmp_path)

    async def look() -> tuple[set[str], tuple[str, ...]]:
        await base.refresh()
        return {each.source for each in (await base.passages(QUESTION)).retrieved}, base.problems

    assert await look() == (
        {"docs/a.pdf", "docs/d.md"},
        ("2 PDFs of volume claim docs are not read yet; they follow by themselves",),
    )
    assert (await look())[1][0].startswith("file b.pdf of volume claim docs is not read: it is encrypted")
    found, problems = await look()
    assert (found, len(problems)) == ({"docs/a.pdf", "docs/c.pdf", "docs/d.md"}, 1)
    await look()
    assert converted == [b"a", b"b", b"c"]
    (root / "c.pdf").write_bytes(b"cc")
    assert (await look())[0] == {"docs/a.pdf", "docs/c.pdf", "docs/d.md"}
    assert converted == [b"a", b"b", b"c", b"cc"]


def test_a_volume_has_the_text_of_a_real_pdf(tmp_path: Path) -> None:
    (tmp_path / "terms.PDF").write_bytes(pdf_of("A refund takes five days."))
    (document,) = Volume("docs", tmp_path).read(PdfTexts()).documents
    assert document == ("docs/terms.PDF", "A refund takes five days.")


@pytest.mark.parametrize(
    ("body", "status", "cause"),
    [
        ("bytearray(10**9)", 1, b"MemoryError"),
        ("[... for _ in iter(int, 1) if 0]", -signal.SIGKILL, b""),
    ],
    ids=["memory", "time"],
)
def test_the_program_ends_at_its_bounds(body: str, status: int, cause: bytes) -> None:
    program = f"from chatfleet_api.knowledge import pdf; pdf.text_of = lambda _: {body}; pdf.main(1)"
    done = subprocess.run((sys.executable, "-c", program), input=b"", capture_output=True, check=False)
    assert (done.returncode, cause in done.stderr) == (status, True)


def test_the_program_prints_the_text_alone() -> None:
    command = (sys.executable, "-I", "-m", "chatfleet_api.knowledge.pdf", "20")
    done = subprocess.run(command, input=pdf_of("Refunds."), capture_output=True, check=True)
    assert json.loads(done.stdout) == {"text": "Refunds."}
