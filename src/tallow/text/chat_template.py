"""`ChatTemplate`: a model's Jinja template, from messages to the text it was trained on."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from tallow.errors import MissingExtraError, ModelError
from tallow.text.chat_messages import plain_messages, plain_tools, plain_variables, with_texts
from tallow.text.template_limits import Budget
from tallow.text.template_sandbox import BUDGET, environment
from tallow.text.tokenizer import Tokenizer

CHATML: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

# Put inside a control token's text to break it; a noncharacter, which no message has a use for.
_BREAK: Final = "\ufdd0"
_ESCAPED: Final = "\\ufdd0"  # how it looks in a list that a template prints, and in ASCII JSON


class ChatTemplate:
    """A compiled template; rendering runs in a sandbox with limits on size and steps.

    Raises:
        ModelError: the template has a syntax error; the text gives its line.
        MissingExtraError: jinja2 is not installed.
    """

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        self.source = source
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._template = _compile(source)

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt for `messages`, each with `role` and `content`.

        `tools` are JSON schemas of functions; `variables` are what this template knows besides,
        such as `enable_thinking`. What a message has as `reasoning` or `thinking` is its
        `reasoning_content` too, and keys without a value are left out, as in transformers.

        Raises:
            ArgumentError: messages, tools or variables are not what JSON has a form for.
            ModelError: the template fails, refuses the messages, or goes beyond its limits; the
                text gives its line.
        """
        given = plain_variables(variables)
        values = {
            **self._tokens,
            **given,
            "messages": plain_messages(messages),
            "tools": plain_tools(tools),
            "documents": given.get("documents"),
            "add_generation_prompt": add_generation_prompt,
            BUDGET: Budget(),
        }
        try:
            text: str = self._template.render(values)
        except MissingExtraError:
            raise
        except Exception as error:  # a template can raise whatever its expressions do
            where = _line(error.__traceback__)
            raise ModelError(f"chat template: {where}{_reason(error)}") from error
        return text


def chat_template_of(tokenizer: Tokenizer) -> ChatTemplate:
    """The template of a tokenizer's model; ChatML if it has none but knows `<|im_start|>`.

    Raises:
        ModelError: the model has no template, so it was not trained to chat.
    """
    source = tokenizer.chat_template
    if source is None:
        if tokenizer.token_to_id("<|im_start|>") is None:
            raise ModelError(
                "chat template: the model has none; give it a prompt instead of messages"
            )
        source = CHATML
    bos, eos = tokenizer.bos_id, tokenizer.eos_id
    return ChatTemplate(
        source,
        bos_token="" if bos is None else tokenizer.id_to_token(bos),
        eos_token="" if eos is None else tokenizer.id_to_token(eos),
    )


def encode_chat(
    tokenizer: Tokenizer,
    template: ChatTemplate,
    messages: Sequence[Mapping[str, Any]],
    *,
    add_generation_prompt: bool = True,
    tools: Sequence[Mapping[str, Any]] | None = None,
    variables: Mapping[str, Any] | None = None,
    place: tuple[str, int] | None = None,
) -> list[int]:
    """The ids of a rendered chat, in which nothing but the template can write a control token.

    Those that stand in messages of any role, in tools or in variables (but those named `…_token`)
    are plain text. bos is added where the model wants it and the template has not. Of a `place`
    the mark in the text becomes the id.
    """
    literal = False

    def broken(text: str) -> str:
        nonlocal literal
        literal = literal or _ESCAPED in text
        return tokenizer.break_special(text, _BREAK)

    given = plain_variables(variables)
    if tools and "tools" not in template.source:
        wanted = "a template that reads tools"
        raise ModelError(f"chat template: expected {wanted}, got one that does not, and tools")
    text = template.render(
        with_texts(plain_messages(messages), broken),
        add_generation_prompt=add_generation_prompt,
        tools=with_texts(plain_tools(tools), broken),
        variables={
            key: value if key.endswith("_token") else with_texts(value, broken)
            for key, value in given.items()
        },
    )
    text = text if literal else text.replace(_ESCAPED, _BREAK)
    if place is None:
        return tokenizer.encode_prompt(text, _BREAK)
    first, *rest = text.split(place[0])
    ids = tokenizer.encode_prompt(first, _BREAK)
    for piece in rest:
        ids += [place[1], *tokenizer.encode_prompt(piece, _BREAK, first=False)]
    return ids


@functools.lru_cache(maxsize=32)
def _compile(source: str) -> Any:
    env = environment()
    try:
        return env.from_string(source)
    except Exception as error:  # jinja2 raises TemplateSyntaxError, RecursionError and others
        line = getattr(error, "lineno", None)
        where = f"line {line}: " if line else ""
        raise ModelError(f"chat template: {where}{_reason(error)}") from error


def _line(trace: TracebackType | None) -> str:
    """The last template line in the traceback, whose frames Jinja rewrites to say it."""
    found = ""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            found = f"line {trace.tb_lineno}: "
        trace = trace.tb_next
    return found


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it recurses too deeply"
    return str(error) or type(error).__name__
