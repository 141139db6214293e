"""A request in OpenAI's terms is said in Anthropic's, or refused with the field that cannot be said."""

import re
from typing import Any

import msgspec
import pytest

from chatfleet_api.domain.errors import ChatError, Code
from chatfleet_api.domain.request import (
    AnyToolCall,
    ChatRequest,
    Function,
    ImagePart,
    ImageURL,
    Message,
    MessageToolCall,
    Role,
    TextPart,
)
from chatfleet_api.providers.vendors.anthropic.request import (
    API_VERSION,
    API_VERSION_WITH_SAMPLING,
    DEFAULT_MAX_TOKENS,
    body,
    version,
)
from harness.upstream.vendor_rules import anthropic_refusal

HI = (Message("user", "Hi."),)
SAID = [{"role": "user", "content": [{"type": "text", "text": "Hi."}]}]
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f"}}


def said(request: ChatRequest) -> dict[str, Any]:
    return msgspec.json.decode(body(request), type=dict[str, Any])


def more(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # the fields' own types
    """Return what `fields` add to the plainest request."""
    plain = said(ChatRequest("m", HI))
    return {name: value for name, value in said(ChatRequest("m", HI, **fields)).items() if plain.get(name) != value}


def refused(request: ChatRequest) -> tuple[Code, str | None]:
    with pytest.raises(ChatError) as caught:
        said(request)
    return caught.value.code, caught.value.param


def test_no_more_is_sent_than_was_asked() -> None:
    assert said(ChatRequest("m", HI)) == {
        "model": "m",
        "messages": SAID,
        "max_tokens": DEFAULT_MAX_TOKENS,
        "stream": True,
    }


def test_instructions_come_before_the_conversation() -> None:
    messages = (Message("system", "Be brief."), *HI, Message("developer", [TextPart("And kind.")]))
    body = said(ChatRequest("m", messages))
    assert (body["system"], body["messages"]) == ("Be brief.\n\nAnd kind.", SAID)


def test_roles_alternate_and_nothing_is_empty() -> None:
    messages = (
        Message("user", "a"),
        Message("user", [TextPart("b"), TextPart("")]),
        Message("assistant", ""),
        Message("user", "c"),
        Message("assistant", "d"),
        Message("assistant", None),
        Message("assistant", "e"),
    )
    turns = [
        (turn["role"], [part["text"] for part in turn["content"]])
        for turn in said(ChatRequest("m", messages))["messages"]
    ]
    assert turns == [("user", ["a", "b", "c"]), ("assistant", ["d", "e"])]


def test_results_of_tools_are_the_users_turn() -> None:
    calls: list[AnyToolCall] = [MessageToolCall("1", Function("f", '{"x":1}')), MessageToolCall("2", Function("g", ""))]
    messages = (
        *HI,
        Message("assistant", "Let me see.", tool_calls=calls),
        Message("tool", "one", tool_call_id="1"),
        Message("tool", "two", tool_call_id="2"),
        Message("user", "And?"),
    )
    _, asked, answered = said(ChatRequest("m", messages))["messages"]
    assert asked["content"] == [
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "1", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "2", "name": "g", "input": {}},
    ]
    assert answered == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "one"}]},
            {"type": "tool_result", "tool_use_id": "2", "content": [{"type": "text", "text": "two"}]},
            {"type": "text", "text": "And?"},
        ],
    }


def test_images_are_sent_by_value_or_by_address() -> None:
    urls = ("data:image/webp;base64,AAAA", "https://example.com/a.png")
    messages = (Message("user", [ImagePart(ImageURL(url, "low")) for url in urls]),)
    assert [part["source"] for part in said(ChatRequest("m", messages))["messages"][0]["content"]] == [
        {"type": "base64", "media_type": "image/webp", "data": "AAAA"},
        {"type": "url", "url": "https://example.com/a.png"},
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5}, {"max_tokens": 5}),
        ({"stop": ("a", "b")}, {"stop_sequences": ["a", "b"]}),
        ({"user": "u"}, {"metadata": {"user_id": "u"}}),
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ({"seed": 1, "presence_penalty": 1.0, "frequency_penalty": 1.0}, {}),
        ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
        ({"reasoning_effort": "xhigh"}, {"output_config": {"effort": "xhigh"}}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
        ({"tools": (TOOL,)}, {"tools": [{"name": "f", "input_schema": {"type": "object"}}]}),
        ({"parallel_tool_calls": False}, {}),
        ({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
        ({"tool_choice": "auto"}, {"tool_choice": {"type": "auto", "disable_parallel_tool_use": False}}),
        ({"tool_choice": "required"}, {"tool_choice": {"type": "any", "disable_parallel_tool_use": False}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
            {"tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True}},
        ),
    ],
)
def test_each_field_has_its_place(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    assert more(**fields) == expected


def test_tools_one_at_a_time_need_no_choice() -> None:
    choice = more(tools=(TOOL,), parallel_tool_calls=False)["tool_choice"]
    assert choice == {"type": "auto", "disable_parallel_tool_use": True}


def test_a_tool_keeps_its_description_schema_and_strictness() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
    function = {"name": "f", "description": "d", "parameters": schema, "strict": True}
    tool = {"name": "f", "description": "d", "input_schema": schema, "strict": True}
    assert more(tools=({"type": "function", "function": function},)) == {"tools": [tool]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"tools": (TOOL, {"type": "function"})}, "tools[1]"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        ({"reasoning_effort": "ultra"}, "reasoning_effort"),
    ],
)
def test_what_would_change_the_answers_meaning_is_refused_by_field(fields: dict[str, Any], param: str) -> None:
    assert refused(ChatRequest("m", HI, **fields)) == (Code.INVALID_REQUEST, param)


@pytest.mark.parametrize("arguments", ["{", "[]", "7"])
def test_arguments_that_are_no_object_are_refused_by_field(arguments: str) -> None:
    call = MessageToolCall("1", Function("f", arguments))
    request = ChatRequest("m", (*HI, Message("assistant", None, tool_calls=[call])))
    assert refused(request) == (Code.INVALID_REQUEST, "messages[1].tool_calls[0].function.arguments")


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0}, {"top_p": 0.9}])
def test_the_version_is_the_newest_that_has_what_is_asked(sampling: dict[str, float]) -> None:
    headers = version(ChatRequest("m", HI, **sampling))  # type: ignore[arg-type]
    assert headers == {"anthropic-version": API_VERSION_WITH_SAMPLING if sampling else API_VERSION}


def taken(*messages: Message, **fields: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # the fields' own types
    """Return the turns of a body that breaks none of Anthropic's rules."""
    body = said(ChatRequest("m", messages, **fields))
    assert anthropic_refusal(body) is None
    turns: list[dict[str, Any]] = body["messages"]
    return turns


def calling(*idents: str, text: str | None = None) -> Message:
    return Message("assistant", text, tool_calls=[MessageToolCall(ident, Function("f", "{}")) for ident in idents])


def test_texts_without_a_visible_character_are_left_out() -> None:
    blank = (Message("system", " \n"), Message("assistant", "\t"), Message("user", [TextPart(" "), TextPart("b")]))
    assert taken(*HI, *blank) == [{"role": "user", "content": [{"type": "text", "text": t} for t in ("Hi.", "b")]}]
    assert "system" not in said(ChatRequest("m", (*HI, *blank)))


def test_instructions_that_a_cache_shall_keep_are_a_marked_block() -> None:
    request = ChatRequest("m", (Message("system", "Long."), *HI), caches_instructions=True)
    assert said(request)["system"] == [{"type": "text", "text": "Long.", "cache_control": {"type": "ephemeral"}}]


@pytest.mark.parametrize("messages", [(), (Message("user", " "),), (Message("system", "Be brief."),)])
def test_a_request_without_a_question_is_refused_by_field(messages: tuple[Message, ...]) -> None:
    assert refused(ChatRequest("m", messages)) == (Code.INVALID_REQUEST, "messages")


def test_a_last_answer_does_not_end_in_white_space_and_others_may() -> None:
    turns = taken(*HI, Message("assistant", "a \n"), *HI, Message("assistant", [TextPart("b"), TextPart("c \n")]))
    assert [block["text"] for turn in turns[1::2] for block in turn["content"]] == ["a \n", "b", "c"]


def test_a_conversation_that_the_assistant_began_is_taken() -> None:
    assert [turn["role"] for turn in taken(Message("assistant", "Welcome."), *HI)] == ["user", "assistant", "user"]


def test_ids_of_other_vendors_are_mapped_alike_for_call_and_result_and_occur_once() -> None:
    results = [Message("tool", "r", tool_call_id=ident) for ident in ("functions.get:1", "functions.get:0")]
    turns = taken(*HI, calling("functions.get:0", "functions.get:1"), *results, calling("functions.get:0"), results[1])
    idents = [block.get("id") or block.get("tool_use_id") for turn in turns[1:] for block in turn["content"]]
    assert idents == [
        *("functions_get_0", "functions_get_1"),
        *("functions_get_1", "functions_get_0"),
        *("functions_get_0_2", "functions_get_0_2"),
    ]


def test_calls_that_share_an_id_or_have_none_are_answered_in_their_order() -> None:
    for ident in ("x", ""):
        results = [Message("tool", text, tool_call_id=ident) for text in "ab"]
        _, asked, answered = taken(*HI, calling(ident, ident), *results)
        assert [block["tool_use_id"] for block in answered["content"]] == [block["id"] for block in asked["content"]]


def test_results_come_first_and_a_call_without_one_gets_one() -> None:
    turns = taken(*HI, calling("a", "b"), Message("user", "And?"), Message("tool", " ", tool_call_id="b"))
    none = {"type": "tool_result", "tool_use_id": "a", "content": "The tool gave no result.", "is_error": True}
    assert turns[-1]["content"] == [
        {"type": "tool_result", "tool_use_id": "b"},
        none,
        {"type": "text", "text": "And?"},
    ]
    assert taken(*HI, calling("a"))[-1] == {"role": "user", "content": [none]}


@pytest.mark.parametrize(
    "messages",
    [
        (Message("tool", "r", tool_call_id="a"),),
        (calling("a"), Message("tool", "r", tool_call_id="b")),
        (calling("a"), *[Message("tool", "r", tool_call_id="a")] * 2),
        (calling("a"), *HI, Message("assistant", "b"), Message("tool", "r", tool_call_id="a")),
    ],
    ids=["no call", "another call", "twice", "too late"],
)
def test_a_result_without_its_call_is_refused_by_field(messages: tuple[Message, ...]) -> None:
    assert refused(ChatRequest("m", (*HI, *messages))) == (
        Code.INVALID_REQUEST,
        f"messages[{len(messages)}].tool_call_id",
    )


def test_calls_of_the_past_have_their_tools_defined_and_are_not_repeated() -> None:
    body = said(ChatRequest("m", (*HI, calling("a"), Message("tool", "r", tool_call_id="a"))))
    assert (body["tools"], body["tool_choice"]) == (
        [{"name": "f", "input_schema": {"type": "object"}}],
        {"type": "none"},
    )


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("data:image/jpg;base64,AAAA", "image/jpeg"),
        ("data:image/PNG;base64,AAAA", "image/png"),
        ("DATA:image/gif;charset=utf-8;name=a.gif;BASE64,AA\nAA", "image/gif"),
        ("data:image/png;base64,/9j/AAAA", "image/jpeg"),
        ("data:;base64,iVBORw0KGgo=", "image/png"),
    ],
)
def test_an_image_has_the_type_that_anthropic_knows_it_by(url: str, kind: str) -> None:
    (turn,) = said(ChatRequest("m", (Message("user", [ImagePart(ImageURL(url))]),)))["messages"]
    source = turn["content"][0]["source"]
    assert (source["type"], source["media_type"]) == ("base64", kind)
    assert source["data"] in url.replace("\n", "")


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("data:image/svg+xml;base64,PHN2Zz4=", "image/svg+xml"),
        ("data:image/svg+xml;utf8,<svg/>", "image/svg+xml"),
        ("data:image/heic;base64,AAAA", "image/heic"),
        ("data:,", "without a type"),
        ("data:image/png,abc", "base64"),
        ("data:image/png;base64,", "base64"),
    ],
)
def test_an_image_that_anthropic_does_not_take_is_refused_by_name(url: str, named: str) -> None:
    with pytest.raises(ChatError, match=re.escape(named)) as caught:
        said(ChatRequest("m", (Message("user", [ImagePart(ImageURL(url))]),)))
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "messages[0].content")


@pytest.mark.parametrize("url", ["https://example.com/a.png", " HTTPS://example.com/a.png\n"])
def test_an_image_at_a_secure_address_is_fetched_by_anthropic(url: str) -> None:
    (turn,) = taken(Message("user", [ImagePart(ImageURL(url))]))
    assert turn["content"][0]["source"] == {"type": "url", "url": "https://example.com/a.png"}


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://example.com/a.png", "http://"),
        ("ftp://example.com/a.png", "ftp://"),
        ("file:///a.png", "file://"),
        ("example.com/a.png", "no https://"),
        ("data:image/png", "no https://"),
        ("", "no https://"),
    ],
)
def test_an_image_at_another_address_is_refused_with_the_remedy(url: str, named: str) -> None:
    with pytest.raises(ChatError, match=re.escape(named)) as caught:
        said(ChatRequest("m", (*HI, Message("user", [ImagePart(ImageURL(url))]))))
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "messages[1].content")
    assert "use an https:// address or a data URL" in caught.value.message


def test_an_image_of_the_assistant_follows_in_the_users_message() -> None:
    picture = ImagePart(ImageURL("https://example.com/a.png"))
    turns = taken(
        *HI,
        Message("assistant", [TextPart("Here."), picture]),
        calling("a"),
        *[Message("tool", [picture], tool_call_id="a"), Message("user", "And?")],
    )
    assert [[block["type"] for block in turn["content"]] for turn in turns] == [
        ["text"],
        ["text"],
        ["text", "image"],
        ["tool_use"],
        ["tool_result", "text"],
    ]
    assert [block["type"] for block in turns[4]["content"][0]["content"]] == ["image"]


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_a_wrong_image_is_refused_where_it_was_sent(role: Role) -> None:
    wrong = Message(role, [TextPart("a"), ImagePart(ImageURL("http://example.com/a.png"))])
    assert refused(ChatRequest("m", (*HI, wrong, *HI))) == (Code.INVALID_REQUEST, "messages[1].content")


@pytest.mark.parametrize("arguments", ['{"a":' * 100_000 + "1" + "}" * 100_000, '{"a":' * 100_000])
def test_arguments_that_nest_too_deeply_are_refused_by_field(arguments: str) -> None:
    call = MessageToolCall("1", Function("f", arguments))
    request = ChatRequest("m", (*HI, Message("assistant", None, tool_calls=[call])))
    assert refused(request) == (Code.INVALID_REQUEST, "messages[1].tool_calls[0].function.arguments")


def test_a_body_that_nests_too_deeply_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(2_000):
        schema = {"a": schema}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    assert refused(ChatRequest("m", HI, tools=(tool,))) == (Code.INVALID_REQUEST, None)


@pytest.mark.parametrize("arguments", ["", "null", "{}"])
def test_arguments_may_be_nothing(arguments: str) -> None:
    call = MessageToolCall("1", Function("f", arguments))
    assert taken(*HI, Message("assistant", tool_calls=[call]))[1]["content"][0]["input"] == {}


def test_a_stop_that_nobody_sees_is_refused_by_field() -> None:
    assert refused(ChatRequest("m", HI, stop=("END", "\n"))) == (Code.INVALID_REQUEST, "stop")
