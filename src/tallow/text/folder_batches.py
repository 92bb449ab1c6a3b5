"""What the configs of a Hugging Face folder say of batches: lengths, sides, types of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tallow.errors import FormatError
from tallow.text.folder_files import read_config
from tallow.text.vocab import BatchSettings
from tallow.text.vocab_files import class_of

# The classes of transformers whose models take `token_type_ids`, without `Tokenizer` or
# `TokenizerFast` at the end, and the types of models that are given one of them.
_TYPED_CLASSES: Final = frozenset((
    "Bert", "Canine", "Deberta", "DebertaV2", "Electra", "FNet", "LayoutLM", "LayoutLMv2", "Lxmert",
    "MarkupLM", "MobileBert", "Tapas",
))  # fmt: skip
_TYPED_MODELS: Final = frozenset((
    "align", "bert", "blip", "bros", "canine", "chinese_clip", "convbert", "deberta", "deberta-v2",
    "electra", "ernie", "flava", "fnet", "git", "grounding-dino", "layoutlm", "layoutlmv2",
    "lxmert", "markuplm", "megatron-bert", "mm-grounding-dino", "mobilebert", "nezha", "nomic_bert",
    "qdqbert", "squeezebert", "tapas", "tvp", "vilt", "visual_bert",
))  # fmt: skip
_PADDED_LEFT: Final = ("CodeLlama", "Cohere", "Gemma", "Siglip2", "XLNet")
# transformers writes 1e30 for no limit, and takes whatever is over this for one.
_NO_LIMIT: Final = 10**20


def batch_settings(path: Path, config: Mapping[str, Any], root: Mapping[str, Any]) -> BatchSettings:
    """The settings of a folder with a tokenizer.json `root` and configs, as transformers reads it.

    Raises:
        FormatError: a side, a length or the names of inputs are none.
    """
    where = path / "tokenizer_config.json"
    padding, truncation = (
        part if isinstance(part := root.get(name), dict) else {}
        for name in ("padding", "truncation")
    )

    def side(name: str, own: Any) -> str:
        given = config.get(name)
        value = own if given is None else given
        value = value.lower() if isinstance(value, str) and given is None else value
        if value not in ("right", "left"):
            raise FormatError(where, name, "right or left", value)
        return str(value)

    limit = config.get("model_max_length", config.get("max_len"))
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, float))):
        raise FormatError(where, "model_max_length", "a number", limit)
    if limit is not None and not limit >= 1:
        raise FormatError(where, "model_max_length", "a number of at least 1", limit)
    pad_type = padding.get("pad_type_id", 0)
    return BatchSettings(
        model_max_length=None if limit is None or limit > _NO_LIMIT else int(limit),
        padding_side=side("padding_side", padding.get("direction") or _side_of(path, config)),
        truncation_side=side("truncation_side", truncation.get("direction", "right")),
        pad_type_id=pad_type if type(pad_type) is int else 0,
        token_types=_takes_types(path, config),
        **_boxes(where, config, path),
        clean_up=config.get("clean_up_tokenization_spaces") is True,
    )


def _side_of(path: Path, config: Mapping[str, Any]) -> str:
    return "left" if class_of(path, config) in _PADDED_LEFT else "right"


def _boxes(where: Path, config: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """What special tokens and words have in place of a box and a label, in models of documents."""
    found: dict[str, Any] = {}
    for role in ("cls", "sep", "pad"):
        box = config.get(f"{role}_token_box")
        if box is None:
            continue
        if not isinstance(box, list) or len(box) != 4 or {*map(type, box)} != {int}:
            raise FormatError(where, f"{role}_token_box", "four whole numbers", box)
        found[f"{role}_box"] = tuple(box)
    if class_of(path, config) == "LayoutLMv3":
        found.setdefault("sep_box", (0, 0, 0, 0))
    label = config.get("pad_token_label", -100)
    if type(label) is not int:
        raise FormatError(where, "pad_token_label", "a whole number", label)
    return {
        **found,
        "no_label": label,
        "label_all": config.get("only_label_first_subword") is False,
    }


def _takes_types(path: Path, config: Mapping[str, Any]) -> bool:
    names = config.get("model_input_names")
    if names is not None:
        if not isinstance(names, list):
            where = path / "tokenizer_config.json"
            raise FormatError(where, "model_input_names", "a list of names", names)
        return "token_type_ids" in names
    model = read_config(path, "config.json")
    name = config.get("tokenizer_class") or model.get("tokenizer_class")
    if isinstance(name, str):
        return name.removesuffix("Fast").removesuffix("Tokenizer") in _TYPED_CLASSES
    return model.get("model_type") in _TYPED_MODELS
