"""Answers of an LLM as messages: what is said, thought, and called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tallow.generate import Result
from tallow.text.tool_calls import assistant_message, parse_answer, tool_names


class WithTools:
    """The part of `LLM` that reads tool calls; the other part has the tokenizer."""

    tokenizer: Any

    def message(
        self, result: Result, *, tools: Sequence[Mapping[str, Any]] | None = None
    ) -> dict[str, Any]:
        """An answer as a message of the role assistant, with its `tool_calls` if it has some.

        `tools` are those of the question: JSON without a tag around it counts where it names one of
        them. To go on, append the message, and for each call one of the role `tool` with what the
        function gave as `content`.
        """
        text = self.tokenizer.decode(result.tokens, skip_special=False)
        stopped = result.text and not text.startswith(result.text)
        # A stop string is not part of the answer; control tokens only stand in the ids.
        plain = self.tokenizer.decode(result.tokens)
        given = result.text if stopped and plain != result.text else text
        return assistant_message(parse_answer(given, tool_names(tools)))
