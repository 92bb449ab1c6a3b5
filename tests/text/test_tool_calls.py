"""Tool calls: each family's form is parsed back; templates without tools say so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tallow as tl
from tallow.errors import ModelError
from tallow.text.tool_calls import assistant_message, parse_answer, tool_names, with_objects

FOLDER = Path(__file__).parent.parent / "golden" / "models" / "llama"
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
PARIS = {"name": "weather", "arguments": {"city": "Paris"}}
ROME = {"name": "weather", "arguments": {"city": "Rome", "days": 2}}
P, R = json.dumps(PARIS), json.dumps(ROME)
LLAMA = '{"name": "weather", "parameters": {"city": "Paris"}}'
CITY, DAYS = "<parameter=city>\nRome\n</parameter>", "<parameter=days>2</parameter>"
XML = f"<function=weather>\n{CITY}\n{DAYS}</function>"

FORMS = {
    "hermes": (f"<tool_call>\n{P}\n</tool_call><|im_end|>", "", [PARIS]),
    "hermes, two": (f"Let me see.\n<tool_call>{P}</tool_call>\n<tool_call>{R}</tool_call>",
                    "Let me see.", [PARIS, ROME]),
    "hermes, cut": (f"<tool_call>\n{P}", "", [PARIS]),
    "qwen3-coder": (f"<tool_call>\n{XML}\n</tool_call>", "", [ROME]),
    "mistral, list": (f"[TOOL_CALLS] [{P}, {R}]</s>", "", [PARIS, ROME]),
    "mistral, args": ('[TOOL_CALLS]weather[ARGS]{"city": "Paris"}</s>', "", [PARIS]),
    "mistral, id": ('[TOOL_CALLS]weather[CALL_ID]a1b2[ARGS]{"city": "Paris"}', "", [PARIS]),
    "llama": (f"{LLAMA}<|eot_id|>", "", [PARIS]),
    "llama, several": (f"{LLAMA}; {LLAMA}", "", [PARIS, PARIS]),
    "llama, tag": (f"<|python_tag|>{LLAMA}<|eom_id|>", "", [PARIS]),
    "fence": (f"```json\n[{P}]\n```", "", [PARIS]),
    "arguments as text": (json.dumps({"name": "weather", "arguments": '{"city": "Paris"}'}), "",
                          [PARIS]),
    "harmony": (("<|channel|>analysis<|message|>Paris it is.<|end|><|start|>assistant<|channel|>"
                "commentary to=functions.weather <|constrain|>json<|message|>"
                '{"city": "Paris"}<|call|>'), "", [PARIS]),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_calls_are_parsed_back(form):
    text, content, calls = FORMS[form]
    found = parse_answer(text, tool_names(TOOLS))
    assert found.content == content
    assert list(found.calls) == calls
    assert found.reasoning == ("Paris it is." if form == "harmony" else "")


@pytest.mark.parametrize(
    "text",
    [
        "The weather is fine.",
        '{"name": "other", "arguments": {}}',
        '{"name": "weather", "arguments": [1]}',
        "<tool_call>\nnot json\n</tool_call>",
        '{"name": "weather"} and more',
        "[1, 2]",
        "",
        "[" * 100_000,
        "```" + "`" * 10_000,
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_call_stays_text(text):
    found = parse_answer(text, tool_names(TOOLS))
    assert found.calls == ()
    assert found.content == text.strip()


def test_thoughts_stand_apart():
    found = parse_answer(f"<think>\nhm\n</think>\n<tool_call>{P}</tool_call>")
    assert (found.reasoning, list(found.calls)) == ("hm", [PARIS])
    final = parse_answer("<|channel|>final<|message|>Hello.<|return|>")
    assert (final.content, final.calls) == ("Hello.", ())


def test_messages_have_the_shape_of_apis():
    message = assistant_message(parse_answer(FORMS["hermes, two"][0]))
    assert message["role"] == "assistant"
    assert [call["function"] for call in message["tool_calls"]] == [PARIS, ROME]
    assert len({call["id"] for call in message["tool_calls"]}) == 2
    texts = json.loads(json.dumps(message))
    for call in texts["tool_calls"]:
        call["function"]["arguments"] = json.dumps(call["function"]["arguments"])
    assert with_objects(texts) == message


def test_templates_without_tools_say_so():
    with tl.LLM(FOLDER) as llm:
        with pytest.raises(ModelError, match="a template that reads tools"):
            llm.chat("Hi", tools=TOOLS)
        answer = llm.chat("Hi", max_tokens=4)
        assert llm.message(answer)["content"] == answer.text.strip()
