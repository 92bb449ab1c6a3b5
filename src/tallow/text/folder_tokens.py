"""What the configs beside a tokenizer.json add to it: tokens, their flags, bos and eos.

As transformers does, so that every engine then reads one complete file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tallow.errors import FormatError
from tallow.text.folder_files import field_of, read_config
from tallow.text.vocab import CONTROL, Vocab

ROLES: Final = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
MAX_VOCAB: Final = 1 << 24
MOST_UNUSED: Final = 1 << 16  # ids of a vocabulary that no token has, which files promise freely
_FLAGS: Final = ("lstrip", "rstrip", "single_word", "normalized", "special")

Row = dict[str, Any]


def text_of(value: Any) -> str | None:
    """A special token of a config: its text, or an object that has it as `content`."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def model_pieces(file: Path, root: Mapping[str, Any]) -> dict[str, Any]:
    """The texts of the model's vocabulary with their ids, unchecked."""
    model = field_of(file, root, "model", dict, {})
    if not isinstance(model.get("vocab"), list):
        return dict(field_of(file, model, "vocab", dict, {}))
    rows = model["vocab"]  # Unigram: [[text, score], …]
    if not all(isinstance(row, list) and row for row in rows):
        raise FormatError(file, "vocab", "pairs of a text and a score", "other values")
    return {str(row[0]): i for i, row in enumerate(rows)}


def complete(
    root: dict[str, Any], file: Path, config: Mapping[str, Any], *, append: bool = False
) -> dict[str, Any]:
    """`root` with the added tokens and the affixes that the configs of its folder ask for.

    `append` gives new ids to special tokens that neither the vocabulary nor the configs number.

    Raises:
        FormatError: a token of the configs has no text, or another id than the vocabulary gives it.
    """
    pieces = model_pieces(file, root)
    listed = field_of(file, root, "added_tokens", list, [])
    rows = {str(row.get("content")): row for row in listed if isinstance(row, dict)}
    ids = {**pieces, **{text: row.get("id") for text, row in rows.items()}}
    if not all(type(index) is int and 0 <= index < MAX_VOCAB for index in ids.values()):
        return root  # what is wrong with it is said where the vocabulary is made
    changed = dict(rows)
    for index, row in decoder_rows(file.parent, config):
        text = row["content"]
        known = ids.setdefault(text, max(ids.values(), default=-1) + 1)
        if known != index:
            where = file.parent / "tokenizer_config.json"
            raise FormatError(where, "added_tokens_decoder", f"id {known} for {text!r}", index)
        own = changed.get(text, {})
        special = bool(own.get("special")) or row["special"]  # the engine does not forget it
        changed[text] = {**own, **row, "id": index, "special": special}
    for text, given, role in _special_texts(config):
        if append and text not in ids:
            ids[text] = max(ids.values(), default=-1) + 1
        if text in ids and (role or text not in changed):  # only a role changes what is listed
            row = changed.get(text) or _row(given if isinstance(given, dict) else {}, text, True)
            changed[text] = {**row, "id": ids[text], "special": True}
    if changed != rows:
        added = sorted(changed.values(), key=lambda row: row["id"])
        root = {**root, "added_tokens": added}
    return _with_affixes(root, config, ids)


def with_control_tokens(root: dict[str, Any], vocab: Vocab) -> dict[str, Any]:
    """`root` with the flag of a special token on each added one that is a control token."""
    listed = root.get("added_tokens") or []
    control = vocab.added(CONTROL)
    rows = [{**row, "special": True} if row.get("content") in control else row for row in listed]
    return root if rows == listed else {**root, "added_tokens": rows}


def _row(given: Mapping[str, Any], text: str, special: bool) -> Row:
    special = bool(given.get("special", special))
    flags = {"normalized": not special, "special": special}
    flags |= {name: bool(given[name]) for name in _FLAGS if name in given}
    return {"content": text, **dict.fromkeys(_FLAGS, False), **flags}


def decoder_rows(path: Path, config: Mapping[str, Any]) -> list[tuple[int, Row]]:
    """Ids and rows of `added_tokens_decoder`, or of the older added_tokens.json."""
    where = path / "tokenizer_config.json"
    decoder = field_of(where, config, "added_tokens_decoder", dict, {})
    found = []
    for index, row in decoder.items():
        text = text_of(row) if isinstance(row, dict) else None
        if text is None or not index.isdecimal() or len(index) > 9:
            raise FormatError(where, "added_tokens_decoder", "ids with their tokens", index)
        found.append((int(index), _row(row, text, False)))
    if not found:
        special = {text for text, _, _ in _special_texts(config)}
        for text, number in read_config(path, "added_tokens.json").items():
            if type(number) is not int or number < 0:
                raise FormatError(path / "added_tokens.json", text[:80], "an id", number)
            found.append((number, _row({}, text, text in special)))
    return sorted(found, key=lambda pair: pair[0])


def special_roles(config: Mapping[str, Any], ids: Mapping[str, int]) -> dict[str, int]:
    """The ids of the roles that the configs name a token for."""
    texts = {role: text_of(config.get(f"{role}_token")) for role in ROLES}
    return {role: ids[text] for role, text in texts.items() if text is not None and text in ids}


def _special_texts(config: Mapping[str, Any]) -> list[tuple[str, Any, bool]]:
    """The tokens that the configs name as special, what is said of them, and if it is a role."""
    named: list[tuple[Any, bool]] = [(config.get(f"{role}_token"), True) for role in ROLES]
    for key in ("additional_special_tokens", "extra_special_tokens"):
        more = config.get(key)
        values = list(more.values()) if isinstance(more, dict) else more
        named += [(value, False) for value in values] if isinstance(values, list) else []
    return [(text, value, role) for value, role in named if (text := text_of(value)) is not None]


def _with_affixes(
    root: dict[str, Any], config: Mapping[str, Any], ids: Mapping[str, int]
) -> dict[str, Any]:
    """The post-processor with bos and eos as `add_bos_token` and `add_eos_token` say, if they do.

    LlamaTokenizer and its like follow these flags; without them the file's own template stands.
    """
    wanted = {}
    for role in ("bos", "eos"):
        flag, text = config.get(f"add_{role}_token"), text_of(config.get(f"{role}_token"))
        if isinstance(flag, bool) and text is not None and text in ids:
            wanted[role] = (flag, text)
    steps = _processors(root.get("post_processor"))
    own = next((step for step in steps if step.get("type") == "TemplateProcessing"), None)
    template = own or _EMPTY_TEMPLATE
    changed = template
    for role, (flag, text) in wanted.items():
        changed = _edited(changed, text, ids[text], flag, first=role == "bos")
    if changed == template:
        return root
    steps = [changed if step is own else step for step in steps]
    steps += [] if own is not None else [changed]
    processor = steps[0] if len(steps) == 1 else {"type": "Sequence", "processors": steps}
    return {**root, "post_processor": processor}


_EMPTY_TEMPLATE: Final[Row] = {
    "type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
    "special_tokens": {},
}


def _processors(part: Any) -> list[Row]:
    """The post-processors in order, those within a Sequence one by one."""
    if not isinstance(part, dict):
        return []
    inner = part.get("processors")
    if part.get("type") == "Sequence" and isinstance(inner, list):
        return [step for child in inner for step in _processors(child)]
    return [part]


def _edited(template: Row, text: str, index: int, flag: bool, *, first: bool) -> Row:
    """A template with the token at its beginning (or end), or without it there."""
    parts = template.get("single")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return template
    middle = [i for i, part in enumerate(parts) if "Sequence" in part]
    if not middle:
        return template

    def is_affix(i: int) -> bool:
        special = parts[i].get("SpecialToken")
        outside = i < middle[0] if first else i > middle[-1]
        return outside and isinstance(special, dict) and special.get("id") == text

    if flag == any(map(is_affix, range(len(parts)))):
        return template
    token = [{"SpecialToken": {"id": text, "type_id": 0}}] if flag else []
    kept = [part for i, part in enumerate(parts) if not is_affix(i)]
    known = template.get("special_tokens") or {}
    return {
        **template,
        "single": [*token, *kept] if first else [*kept, *token],
        "special_tokens": {**known, text: {"id": text, "ids": [index], "tokens": [text]}},
    }
