"""The question that tells its own answer."""

import pytest

from harness.upstream.script import Fault, Script, read_question


def test_a_question_says_the_same_to_who_reads_it() -> None:
    script = Script("k1", 3, gap=0.1, faults=(Fault("reset", after=1),), always=Fault("status", status=429))
    assert read_question(script.question) == script


def test_the_answer_is_its_numbered_tokens() -> None:
    script = Script("k1", 3)
    assert script.answer == "k1:0 k1:1 k1:2 "
    assert script.pieces() == ["k1:0 ", "k1:1 ", "k1:2 "]


@pytest.mark.parametrize("length", range(16))
def test_an_answer_goes_on_exactly_where_its_beginning_ends(length: int) -> None:
    script = Script("k1", 3)
    begun = script.answer[:length]
    assert begun + "".join(script.pieces(begun)) == script.answer


def test_what_is_not_the_beginning_cannot_be_gone_on_from() -> None:
    with pytest.raises(ValueError, match="not how this answer begins"):
        Script("k1", 3).pieces("k2:0 ")


def test_faults_strike_the_first_attempts_in_turn_and_then_always() -> None:
    first, second, always = Fault("reset"), Fault("end"), Fault("stall")
    script = Script("k1", 3, faults=(first, second), always=always)
    assert [script.fault(attempt) for attempt in range(4)] == [first, second, always, always]
    assert Script("k1", 3, faults=(first,)).fault(1) is None


@pytest.mark.parametrize("text", ["", "hello", "{}", '{"key": "k"}', '{"key": "k", "tokens": "many"}'])
def test_any_other_text_is_no_question(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_question(text)
