"""Tool calls in what models write, parsed back to parts of a message.

Known are the forms that the common families were trained on: `<tool_call>` around JSON (Hermes,
Qwen) or around `<function=…>` (Qwen3-Coder), Mistral's `[TOOL_CALLS]`, JSON as Llama 3 writes it,
alone or behind `<|python_tag|>`, and the channels of gpt-oss (harmony).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from tallow.lazy_dataclasses import dataclass

Call = dict[str, Any]
_NAMES = ("name", "function", "tool_name")
_ARGUMENTS = ("arguments", "parameters", "args")


@dataclass(frozen=True)
class Parsed:
    """The text for people, the thoughts before it, and the calls (`name`, `arguments`) in order."""

    content: str
    reasoning: str
    calls: tuple[Call, ...]


def tool_names(tools: Sequence[Mapping[str, Any]] | None) -> frozenset[str]:
    """The names of functions in the schemas that a template is given."""
    found = []
    for tool in tools or ():
        inner = tool.get("function", tool)
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if isinstance(name, str):
            found.append(name)
    return frozenset(found)


def parse_answer(text: str, names: Collection[str] = ()) -> Parsed:
    """What an answer says, and calls; `text` has its control tokens written out.

    JSON without a tag around it is a call only where its name is one of `names`.
    """
    if "<|channel|>" in text:
        return _harmony(text)
    reasoning, rest = _thoughts(text)
    for mark, parse in _FORMS.items():
        if mark in rest:
            content, calls = parse(rest)
            if calls:
                return Parsed(_plain(content), reasoning, tuple(calls))
    plain = _plain(rest)
    bare = _bare(plain)
    if bare and all(call["name"] in names for call in bare):
        return Parsed("", reasoning, tuple(bare))
    return Parsed(plain, reasoning, ())


def assistant_message(parsed: Parsed) -> dict[str, Any]:
    """A message of the role assistant, in the shape that APIs and templates share.

    `arguments` are objects, as templates read them; each call has an `id` that its answer, a
    message of the role `tool`, names as `tool_call_id`.
    """
    made: dict[str, Any] = {"role": "assistant", "content": parsed.content}
    if parsed.reasoning:
        made["reasoning_content"] = parsed.reasoning
    if parsed.calls:
        made["tool_calls"] = [
            {"id": f"call{i:05d}", "type": "function", "function": dict(call)}
            for i, call in enumerate(parsed.calls)
        ]
    return made


def with_objects(message: dict[str, Any]) -> dict[str, Any]:
    """A message whose calls have their arguments as objects, where they stand as JSON text."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return message
    return {**message, "tool_calls": [_opened(call) for call in calls]}


def _opened(call: Any) -> Any:
    inner = call.get("function") if isinstance(call, dict) else None
    given = inner.get("arguments") if isinstance(inner, dict) else None
    if not isinstance(given, str):
        return call
    import json

    try:
        value = json.loads(given)
    except (ValueError, RecursionError):
        return call
    if not isinstance(value, dict):
        return call
    return {**call, "function": {**call["function"], "arguments": value}}


# --- JSON -----------------------------------------------------------------------------------------


def _call(value: Any) -> Call | None:
    """A call of a JSON value, by any of the names that models use."""
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    given: Any = next((value[key] for key in _ARGUMENTS if key in value), {})
    if isinstance(given, str):
        import json

        try:
            given = json.loads(given)
        except (ValueError, RecursionError):
            return None
    if not name or not isinstance(given, dict):
        return None
    return {"name": name, "arguments": given}


def _values(text: str) -> Iterator[tuple[Any, int]]:
    """JSON values that follow each other, with what may stand between, and where each ends."""
    import json

    decoder, at = json.JSONDecoder(), 0
    while True:
        while at < len(text) and text[at] in " \t\r\n;,":
            at += 1
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        yield value, at


def _calls_of(text: str) -> tuple[list[Call], int]:
    """Calls at the beginning of a text, and where the last one ends."""
    calls: list[Call] = []
    end = 0
    for value, after in _values(text):
        found = [_call(each) for each in (value if isinstance(value, list) else [value])]
        if not found or None in found:
            break
        calls += [each for each in found if each is not None]
        end = after
    return calls, end


def _bare(text: str) -> list[Call]:
    """The calls of a text that is nothing else, in a fence or not."""
    fenced = re.fullmatch(r"```[a-z]*\s([^`]*)```", text)
    body = (fenced[1] if fenced else text).strip()
    calls, end = _calls_of(body)
    return calls if body and not body[end:].strip() else []


# --- forms ----------------------------------------------------------------------------------------


def _tagged(text: str) -> tuple[str, list[Call]]:
    """`<tool_call>…</tool_call>`, of which the last may be open."""
    head, *parts = text.split("<tool_call>")
    calls: list[Call] = []
    for part in parts:
        inner, _, after = part.partition("</tool_call>")
        found, _ = _calls_of(inner.strip())
        calls += found or _functions(inner)
        head += after
    return head, calls


def _functions(text: str) -> list[Call]:
    """`<function=NAME><parameter=KEY>VALUE</parameter>…</function>`."""
    calls = []
    for part in text.split("<function=")[1:]:
        name, closed, rest = part.partition(">")
        if not closed:
            continue
        arguments: dict[str, Any] = {}
        for piece in rest.partition("</function>")[0].split("<parameter=")[1:]:
            key, _, value = piece.partition(">")
            arguments[key.strip()] = _value(value.partition("</parameter>")[0].strip("\n"))
        calls.append({"name": name.strip(), "arguments": arguments})
    return calls


def _value(text: str) -> Any:
    """What JSON makes of a parameter, or the text itself."""
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _mistral(text: str) -> tuple[str, list[Call]]:
    """`[TOOL_CALLS]` before a list of calls, or before each `NAME[ARGS]{…}`."""
    head, *parts = text.split("[TOOL_CALLS]")
    calls: list[Call] = []
    for part in parts:
        name, split, given = part.partition("[ARGS]")
        name = name.partition("[CALL_ID]")[0].strip()
        if split:
            for value, _ in _values(given):
                if isinstance(value, dict):
                    calls.append({"name": name, "arguments": value})
                break
        else:
            brace = part.find("{")
            if brace > 0 and re.fullmatch(r"\s*[\w.-]+\s*", part[:brace]):
                named = [{"name": part[:brace].strip(), "arguments": v} for v, _ in
                         _values(part[brace:]) if isinstance(v, dict)]  # fmt: skip
                calls += named[:1]
            else:
                calls += _calls_of(part)[0]
    return head, calls


def _python_tag(text: str) -> tuple[str, list[Call]]:
    """Llama 3: JSON behind `<|python_tag|>`."""
    head, _, rest = text.partition("<|python_tag|>")
    return head, _calls_of(rest)[0]


_FORMS: dict[str, Callable[[str], tuple[str, list[Call]]]] = {
    "<tool_call>": _tagged,
    "[TOOL_CALLS]": _mistral,
    "<|python_tag|>": _python_tag,
}


def _harmony(text: str) -> Parsed:
    """The channels of gpt-oss: analysis is thought, final is said, commentary may call."""
    said: list[str] = []
    thought: list[str] = []
    calls: list[Call] = []
    for part in text.split("<|channel|>")[1:]:
        header, _, body = part.partition("<|message|>")
        header = header.partition("<|constrain|>")[0]
        body = re.split(r"<\|(?:end|call|return|start)\|>", body)[0]
        target = re.search(r"to=(?:functions\.)?([^\s<]+)", header)
        value = _value(body) if target else None
        if target and isinstance(value, dict):
            calls.append({"name": target[1], "arguments": value})
        elif header.strip().startswith("analysis"):
            thought.append(body)
        else:
            said.append(body)
    return Parsed("".join(said).strip(), "\n".join(thought).strip(), tuple(calls))


def _thoughts(text: str) -> tuple[str, str]:
    """What stands in `<think>`, and what comes after."""
    before, closed, after = text.partition("</think>")
    if not closed:
        return "", text
    return before.rpartition("<think>")[2].strip(), after


_CONTROL = re.compile(r"<\|[\w-]{1,40}\|>|</s>|<s>|<end_of_turn>|<eos>")


def _plain(text: str) -> str:
    return _CONTROL.sub("", text).strip()
