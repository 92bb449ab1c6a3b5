"""A chat template as plain texts around messages, for where there is no Jinja.

The texts are found by rendering conversations with marked contents; then others are rendered, and
what Jinja writes must be what the texts give. A template that does more is refused by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass
from tallow.text.chat_template import ChatTemplate
from tallow.text.table_steps import packed
from tallow.text.vocab import encode_utf8

Chat = Sequence[tuple[str, str]]  # role and content

_ROLES: Final = ("system", "user", "assistant")
_ALTERNATES, _HAS_SYSTEM, _TRIMS = 1, 2, 4  # the last one doubled for each further role
# Contents by which templates are known to decide something, and those that trip over white space.
_CONTENTS: Final = (
    "Hi", "", " ", "  a b \n", "\n\nc", "</think>d", "<think>\ne\n</think>\n\nf", "g\u3000",
    "\xa0h", "<|im_end|>", "<tool_response>x</tool_response>", "<tool_call>", "{{ 1 }}",
    "/no_think", "é漢😀", "[INST] x [/INST]", "\u2028i", "<<SYS>>", "a" * 3000, "\\n", "'\"", "&<>",
)  # fmt: skip


@dataclass(frozen=True)
class PlainChat:
    """Texts before and after the contents of each role; see csrc/text/chat.h.

    `head` begins a chat without a system message; `generation` asks for an answer. Contents of the
    roles in `trimmed` lose the white space around them. With `alternates` user and assistant must
    take turns, the user first; without `has_system` there is no such role.
    """

    head: str
    around: tuple[tuple[str, str], ...]
    generation: str
    trimmed: tuple[bool, ...]
    alternates: bool
    has_system: bool

    def render(self, messages: Chat, answer: bool) -> str | None:
        """The prompt, or None for a conversation that has none."""
        if not messages:
            return None
        found = [self.head] if messages[0][0] != "system" else []
        for i, (role, content) in enumerate(messages):
            if role == "system" and (i or not self.has_system):
                return None
            turn = i - (messages[0][0] == "system")
            if self.alternates and role != "system" and role != _ROLES[1 + turn % 2]:
                return None
            number = _ROLES.index(role)
            content = content.strip() if self.trimmed[number] else content
            before, after = self.around[number]
            found += [before, content, after]
        return "".join(found) + (self.generation if answer else "")

    def pack(self, space_class: int) -> bytes:
        """The section `chat` of tokenizer tables."""
        texts = [self.head, *itertools.chain(*self.around), self.generation]
        raw = list(map(encode_utf8, texts))
        flags = _ALTERNATES * self.alternates | _HAS_SYSTEM * self.has_system
        flags |= sum(_TRIMS << i for i, trims in enumerate(self.trimmed) if trims)
        ends = itertools.accumulate(map(len, raw))
        return packed([flags, space_class, *ends]) + b"".join(raw)


def plain_chat(template: ChatTemplate) -> PlainChat:
    """The texts of a template.

    Raises:
        ModelError: it does more than writing texts around messages; the text says what was seen.
    """
    if "strftime_now" in template.source:
        raise _refused("writes the date")
    for trims in itertools.product((False, True), repeat=3):
        found = _probed(template, trims)
        if found is not None and not _differs(template, found, _short(_CONTENTS[3:5])):
            break
    else:
        raise _refused("is not the same text around each message of a role")
    chat = _differs(template, found, _long())
    if chat is not None:
        shown = ", ".join(f"{role}: {content[:20]!r}" for role, content in chat)
        raise _refused(f"looks into messages ({shown})")
    return found


def _refused(what: str) -> ModelError:
    return ModelError(f"chat template: expected texts around messages; this one {what}")


def _render(template: ChatTemplate, chat: Chat, answer: bool) -> str | None:
    messages = [{"role": role, "content": content} for role, content in chat]
    try:
        return template.render(messages, add_generation_prompt=answer)
    except ModelError:
        return None


def _cut(template: ChatTemplate, *roles: str) -> list[str] | None:
    """What stands before, between and after the contents of messages of these roles."""
    marks = [f"qzx{number}xzq" for number in range(len(roles))]
    text = _render(template, list(zip(roles, marks, strict=True)), False)
    parts = []
    for mark in marks:
        if text is None or text.count(mark) != 1:
            return None
        part, _, text = text.partition(mark)
        parts.append(part)
    return None if text is None else [*parts, text]


def _probed(template: ChatTemplate, trimmed: tuple[bool, ...]) -> PlainChat | None:
    one, two = _cut(template, "user"), _cut(template, "user", "assistant")
    three = _cut(template, "user", "assistant", "user")
    if one is None or two is None or three is None:
        return None
    after_user, after_answer = one[1], two[2]
    if not two[1].startswith(after_user) or not three[2].startswith(after_answer):
        return None
    before_answer = two[1].removeprefix(after_user)
    before_user = three[2].removeprefix(after_answer)
    if not one[0].endswith(before_user):
        return None
    system = _cut(template, "system", "user")
    if system is not None and not system[1].endswith(before_user):
        return None
    around_system = ("", "")
    if system is not None:
        around_system = system[0], system[1][: len(system[1]) - len(before_user)]
    bare, asked = (_render(template, [("user", "a")], answer) for answer in (False, True))
    if bare is None or asked is None or not asked.startswith(bare):
        return None
    return PlainChat(
        head=one[0][: len(one[0]) - len(before_user)],
        around=(around_system, (before_user, after_user), (before_answer, after_answer)),
        generation=asked.removeprefix(bare),
        trimmed=trimmed,
        alternates=_render(template, [("user", "a"), ("user", "b")], False) is None,
        has_system=system is not None,
    )


def _short(contents: Sequence[str]) -> list[Chat]:
    return [
        [(role, content) for role in roles]
        for content in contents
        for roles in (_ROLES, _ROLES[1:], (*_ROLES, "user"))
    ]


def _long() -> list[Chat]:
    """Every order of up to four roles, every content in every place of a conversation."""
    orders = [roles for count in range(1, 5) for roles in itertools.product(_ROLES, repeat=count)]
    found: list[Chat] = [[(role, f"m{i}") for i, role in enumerate(roles)] for roles in orders]
    whole = ("system", "user", "assistant", "user", "assistant", "user")
    for content in _CONTENTS:
        for roles in (whole, whole[1:], whole[:-1], whole[1:-1]):
            found += [
                [(role, content if i == place else "x") for i, role in enumerate(roles)]
                for place in range(len(roles))
            ]
    return found


def _differs(template: ChatTemplate, found: PlainChat, chats: Sequence[Chat]) -> Chat | None:
    """A conversation that the texts give and Jinja writes otherwise, or refuses."""
    for chat in chats:
        for answer in (False, True):
            ours = found.render(chat, answer)
            if ours is not None and ours != _render(template, chat, answer):
                return chat
    return None
