"""`ChatTemplate`: a model's Jinja template, from messages to the text it was trained on."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from tallow.errors import MissingExtraError, ModelError
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
_TRUSTED: Final = ("system", "developer", "assistant", "model")


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
        such as `enable_thinking`.

        Raises:
            ModelError: the template fails, refuses the messages, or goes beyond its limits; the
                text gives its line.
        """
        values = {
            **self._tokens,
            **(variables or {}),
            "messages": list(messages),
            "tools": tools,
            "documents": (variables or {}).get("documents"),
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
) -> list[int]:
    """The ids of a rendered chat, in which a user or a tool cannot forge a control token.

    Control tokens that the template writes are recognised, as are those in messages of role system,
    developer, assistant and model; in all others, and in the name of a role, they are plain text.
    bos is added where the model wants it and the template has not.
    """
    guarded = [_guard(tokenizer, message) for message in messages]
    text = template.render(
        guarded, add_generation_prompt=add_generation_prompt, tools=tools, variables=variables
    )
    return tokenizer.encode_prompt(text, _BREAK)


def _guard(tokenizer: Tokenizer, message: Mapping[str, Any]) -> Mapping[str, Any]:
    trusted = message.get("role") in _TRUSTED
    return {
        key: value if trusted and key != "role" else _broken(tokenizer, value)
        for key, value in message.items()
    }


def _broken(tokenizer: Tokenizer, value: Any) -> Any:
    """`value` with a break after the first character of each control token in its texts."""
    if isinstance(value, str):
        return tokenizer.break_special(value, _BREAK)
    if isinstance(value, list):
        return [_broken(tokenizer, item) for item in value]
    if isinstance(value, dict):
        return {key: _broken(tokenizer, item) for key, item in value.items()}
    return value


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
