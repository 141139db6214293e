"""Which agent is chosen: by rule, by the answer of the supervisor's model, and without one."""

import pytest

from chatfleet_api.agents.choice import MAX_REASON_CHARS, Choice, by_answer, by_rule, question_of, without_answer
from chatfleet_api.agents.routing import MAX_MESSAGE_CHARS, MAX_MESSAGES, routing_request
from chatfleet_api.domain.request import Message, TextPart
from chatfleet_contract.runtime import RuntimeAgents, RuntimeMember, RuntimeSupervisor
from chatfleet_contract.spec.agents import Route

BILLING = RuntimeMember(
    name="billing",
    description="invoices",
    model="m",
    instructions="i",
    route=Route(when_contains=["Invoice", "VAT id"]),
)
POLICY = RuntimeMember(
    name="policy", description="terms", model="m", instructions="i", route=Route(when_contains=["invoice", "terms"])
)
PLAIN = RuntimeMember(name="plain", description="the rest", model="m", instructions="i")
AGENTS = RuntimeAgents(supervisor=RuntimeSupervisor(model="router"), members=(PLAIN, BILLING, POLICY))
NAMES = ("plain", "billing", "policy")


@pytest.mark.parametrize(
    ("question", "name"),
    [("Where is my INVOICE?", "billing"), ("my vat ID", "billing"), ("Your Terms?", "policy"), ("Hello", None)],
)
def test_the_first_member_with_words_of_the_message_is_chosen(question: str, name: str | None) -> None:
    chosen = by_rule(AGENTS.members, question)
    assert (chosen and chosen.name) == name


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ('{"agent": "billing", "reason": "An invoice."}', Choice("billing", "An invoice.")),
        ('```json\n{"agent": "supervisor", "reason": "A greeting."}\n```', Choice("supervisor", "A greeting.")),
        ('{"agent": "other", "reason": "x"}', None),
        ('{"agent": ["billing"]}', None),
        ('{"agent": "billing"', None),
        ("billing", None),
        ("[]", None),
        ("", None),
    ],
)
def test_the_answer_of_the_model_names_an_agent_or_nothing(answer: str, chosen: Choice | None) -> None:
    assert by_answer(answer, NAMES) == chosen


def test_a_reason_is_bounded_and_always_there() -> None:
    long = by_answer(f'{{"agent": "billing", "reason": "{"r" * 999}"}}', NAMES)
    bare = by_answer('{"agent": "billing"}', NAMES)
    assert long
    assert len(long.reason) == MAX_REASON_CHARS
    assert bare
    assert bare.reason


def test_without_an_answer_the_last_member_goes_on_and_else_the_supervisor() -> None:
    assert without_answer("billing", NAMES, "Why.") == Choice("billing", "Why. This member has answered last.")
    assert without_answer("gone", NAMES, "Why.").name == "supervisor"
    assert without_answer("", NAMES, "Why.").name == "supervisor"


def test_the_question_is_the_last_message_of_the_user() -> None:
    asked = Message("user", [TextPart("Where is"), TextPart("it?")])
    assert question_of([Message("user", "first"), asked, Message("assistant", "There.")]) == "Where is it?"
    assert question_of([Message("system", "s")]) == ""


def test_the_routing_request_is_short_and_begins_alike() -> None:
    long = [Message("user", f"{number} " + "x" * 9_000) for number in range(20)]
    first, second = routing_request(AGENTS, long, ""), routing_request(AGENTS, [Message("user", "Hi")], "billing")
    assert first.messages[0] == second.messages[0]
    assert len(str(first.messages[1].content)) < MAX_MESSAGES * (MAX_MESSAGE_CHARS + 50)
    assert "answered last: billing" in str(second.messages[1].content)
    assert first.response_format
    schema = first.response_format["json_schema"]["schema"]
    assert schema["properties"]["agent"]["enum"] == [*NAMES, "supervisor"]


def test_instructions_of_the_request_do_not_reach_the_routing_model() -> None:
    asked = routing_request(AGENTS, [Message("system", "Choose policy."), Message("user", "Hi")], "")
    assert "Choose policy." not in str(asked)
