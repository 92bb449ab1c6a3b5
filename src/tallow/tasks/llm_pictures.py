"""Pictures in the messages and prompts of an LLM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, ModelError, expect
from tallow.generate import token_ids
from tallow.generate.prompts import MixedPrompt

if TYPE_CHECKING:
    from tallow.text import ChatTemplate, Tokenizer

# What a part of a message may have its picture under, as in the APIs of others.
_SOURCES = ("image", "path", "image_url", "url", "base64")
_KINDS = ("image", "image_url", "input_image")
_MARK = "qzxvk"
_WORD = "<image>"  # what stands for a picture in a prompt of a text without a word for it

Prompt = Sequence[int] | MixedPrompt


def without_pictures(messages: Any) -> tuple[Any, list[Any]]:
    """The messages with `{"type": "image"}` in the place of parts with pictures, and these.

    Raises:
        ArgumentError: such a part has no picture, or one that would have to be downloaded.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence):
        return messages, []  # which is refused where messages are read
    pictures: list[Any] = []
    found = []
    for index, message in enumerate(messages):
        content = message.get("content") if isinstance(message, Mapping) else None
        if isinstance(content, list | tuple):
            where = f"messages[{index}].content"
            parts = [_part(part, f"{where}[{i}]", pictures) for i, part in enumerate(content)]
            message = {**message, "content": parts}
        found.append(message)
    return found, pictures


def _part(part: Any, where: str, pictures: list[Any]) -> Any:
    if not isinstance(part, Mapping) or part.get("type") not in _KINDS:
        return part
    names = [name for name in _SOURCES if part.get(name) is not None]
    wanted = f"a picture under one of {', '.join(_SOURCES)}"
    expect(len(names) == 1, where, wanted, sorted(map(str, part)), ArgumentError)
    value = part[names[0]]
    if isinstance(value, Mapping):
        value = value.get("url")
    pictures.append(_source(value, names[0], where))
    return {"type": "image"}


def _source(value: Any, name: str, where: str) -> Any:
    """What `load_image` takes, of a path, a `data:` URL or base64 text."""
    if not isinstance(value, str):
        return value
    head, _, rest = value.partition(",")
    if name == "base64":
        return _bytes(value, where)
    if value.startswith("data:"):
        wanted = "a data: URL in base64"
        expect(head.endswith(";base64"), where, wanted, head[:80], ArgumentError)
        return _bytes(rest, where)
    if value.startswith("file://"):
        from urllib.parse import unquote, urlsplit

        return unquote(urlsplit(value).path)
    remote = value.startswith(("http:", "https:"))
    expect(not remote, where, "a file, as nothing is downloaded", value[:80], ArgumentError)
    return value


def _bytes(text: str, where: str) -> bytes:
    from base64 import b64decode

    try:
        return b64decode(text, validate=True)
    except ValueError as error:
        raise ArgumentError(f"{where}: expected base64, got {error}") from None


def reads_pictures(model: Any) -> bool:
    """Whether prompts of a model may have pictures."""
    return hasattr(model, "picture")


def place_of(model: Any, tokenizer: Tokenizer) -> tuple[str, int] | None:
    """A mark and the id of a picture's place where the vocabulary has no word for it, else None.

    So it is in GGUF files of a text that was made before its projector.
    """
    wordless = reads_pictures(model) and model.image_token >= tokenizer.vocab_size
    return (f"<{_MARK}>", model.image_token) if wordless else None


def text_ids(model: Any, tokenizer: Tokenizer, prompt: str, parse_special: bool) -> list[int]:
    """The ids of a prompt, in which `<image>` is a picture's place where no token is."""
    place = place_of(model, tokenizer)
    first, *rest = [prompt] if place is None else prompt.split(_WORD)
    ids = tokenizer.encode(first, parse_special=parse_special)
    for piece in rest:
        ids += [model.image_token, *tokenizer.encode(piece, False, parse_special=parse_special)]
    return ids


def suited(
    messages: list[dict[str, Any]],
    model: Any,
    template: ChatTemplate,
    place: tuple[str, int] | None,
) -> list[dict[str, Any]]:
    """Messages as a template reads them: strings with marks, or parts if it reads these alone."""
    if place is not None:
        return [_marked(message, place[0]) for message in messages]
    alone = reads_pictures(model) and reads_parts_alone(template)
    return with_text_parts(messages) if alone else messages


def _marked(message: dict[str, Any], mark: str) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return message
    texts = [
        f"{mark}\n" if part.get("type") == "image" else str(part.get("text", ""))
        for part in content
        if isinstance(part, Mapping)
    ]
    return {**message, "content": "".join(texts)}


def keys_of(prompt: Prompt) -> Sequence[int]:
    """What prompts are compared by."""
    return prompt.keys if isinstance(prompt, MixedPrompt) else prompt


def prompt_of(model: Any, ids: Sequence[int], images: Sequence[Any] | None) -> Prompt:
    """Ids with pictures in their places; the ids alone for a model or a prompt without any.

    Raises:
        ArgumentError: pictures for a model that reads none, another number of places in the ids, or
            a picture that cannot be prepared.
    """
    whole, listed = token_ids(ids, "prompt"), _listed(images)
    reads, name = reads_pictures(model), type(model).__name__
    wanted = f"none, as {name} reads text alone"
    expect(reads or not listed, "images", wanted, len(listed), ArgumentError)
    if not listed and not (reads and {model.image_token, model.place_token} & set(whole)):
        return whole
    prepared = [model.picture(image) for image in listed]
    found: MixedPrompt = model.mixed(model.with_places(whole, len(prepared)), prepared)
    return found


def prompts_of(
    model: Any, prompts: Sequence[Sequence[int]], images: Sequence[Sequence[Any]] | None
) -> list[Prompt]:
    """The same of several prompts; where one has a picture, all are mixed.

    Raises:
        ArgumentError: as of `prompt_of`, or another number of lists than of prompts.
    """
    each = [None] * len(prompts) if images is None else _listed(images)
    wanted = f"{len(prompts)} lists of pictures"
    expect(len(each) == len(prompts), "images", wanted, len(each), ArgumentError)
    found = [prompt_of(model, ids, some) for ids, some in zip(prompts, each, strict=True)]
    if any(isinstance(prompt, MixedPrompt) for prompt in found):
        return [
            prompt if isinstance(prompt, MixedPrompt) else model.mixed(prompt, [])
            for prompt in found
        ]
    return found


def _listed(images: Any) -> list[Any]:
    if images is None:
        return []
    good = isinstance(images, list | tuple)
    wanted = "a list of pictures"
    expect(good, "images", wanted, type(images).__name__, ArgumentError)
    return list(images)


def with_text_parts(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Contents that are strings as lists of one part, for templates that read parts alone."""
    return [
        {**message, "content": [{"type": "text", "text": message["content"]}]}
        if isinstance(message.get("content"), str)
        else message
        for message in messages
    ]


def reads_parts_alone(template: ChatTemplate) -> bool:
    """Whether a template loses a content that is a string."""
    try:
        text = template.render([{"role": "user", "content": _MARK}])
    except ModelError:
        return True
    return _MARK not in text
