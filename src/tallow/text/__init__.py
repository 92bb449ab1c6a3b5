"""Text for language models: `Tokenizer`, `ChatTemplate`, and text as it is generated.

Nothing heavy is imported here: `tokenizers` and `jinja2` are loaded by the functions that use
them, and a small stand-in in plain Python replaces `tokenizers` where it is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tallow.packages import names_of

if TYPE_CHECKING:
    from tallow.text.batching import Encodings
    from tallow.text.chat_template import ChatTemplate, chat_template_of, encode_chat
    from tallow.text.stream import StopStrings, StreamDecoder
    from tallow.text.tokenizer import Tokenizer

__all__ = [
    "Tokenizer",
    "Encodings",
    "ChatTemplate",
    "chat_template_of",
    "encode_chat",
    "StreamDecoder",
    "StopStrings",
]

_HOMES = {
    "Tokenizer": "tokenizer",
    "Encodings": "batching",
    "ChatTemplate": "chat_template",
    "chat_template_of": "chat_template",
    "encode_chat": "chat_template",
    "StreamDecoder": "stream",
    "StopStrings": "stream",
}

__getattr__, __dir__ = names_of(globals(), _HOMES)
