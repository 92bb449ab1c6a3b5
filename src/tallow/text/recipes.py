"""How each class of transformers' tokenizers cuts text: tokenizer.json's parts by the class's name.

The rows follow transformers 5; a folder without tokenizer.json is read by them. Special tokens are
named by their roles: `cls A sep` is the template of one text, `A` and `B` are the texts.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tallow.errors import FormatError
from tallow.lazy_dataclasses import dataclass, field

Part = dict[str, Any]
Config = Mapping[str, Any]

_BERT_ROLES: Final = {
    "unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]",
}  # fmt: skip
_ROBERTA_ROLES: Final = {
    "bos": "<s>", "eos": "</s>", "sep": "</s>", "cls": "<s>", "unk": "<unk>", "pad": "<pad>",
    "mask": "<mask>",
}  # fmt: skip
_GPT2_ROLES: Final = {"unk": "<|endoftext|>", "bos": "<|endoftext|>", "eos": "<|endoftext|>"}
_CLIP_PATTERN: Final = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)
_MBART: Final = (
    "ar_AR", "cs_CZ", "de_DE", "en_XX", "es_XX", "et_EE", "fi_FI", "fr_XX", "gu_IN", "hi_IN",
    "it_IT", "ja_XX", "kk_KZ", "ko_KR", "lt_LT", "lv_LV", "my_MM", "ne_NP", "nl_XX", "ro_RO",
    "ru_RU", "si_LK", "tr_TR", "vi_VN", "zh_CN",
)  # fmt: skip
_MBART50: Final = (
    *_MBART,
    "af_ZA", "az_AZ", "bn_IN", "fa_IR", "he_IL", "hr_HR", "id_ID", "ka_GE", "km_KH", "mk_MK",
    "ml_IN", "mn_MN", "mr_IN", "pl_PL", "ps_AF", "pt_XX", "sv_SE", "sw_KE", "ta_IN", "te_IN",
    "th_TH", "tl_XX", "uk_UA", "ur_PK", "xh_ZA", "gl_ES", "sl_SI",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """A class of tokenizers.

    `model` is WordPiece, WordLevel, BPE or Unigram. `roles` are the special tokens where the
    configs name none; `mask_strips` says that the mask swallows the white space before it. `single`
    and `pair` are templates. `parts` gives the steps that change and cut text by the configs and a
    map of characters. A Unigram vocabulary is `head` (roles), `after_head`, the file's pieces from
    number `skip` on, `tail`; `unk_id` is the place of its unknown piece, if that is not the file's.
    """

    model: str
    roles: Mapping[str, str]
    single: str
    pair: str
    parts: Callable[[Config, bytes], Part]
    suffix: str = ""
    mask_strips: bool = False
    head: Sequence[str] = ()
    after_head: Callable[[Config], Sequence[str]] = lambda config: ()
    skip: int = 0
    tail: Callable[[Config], Sequence[str]] = lambda config: ()
    unk_id: int | None = None
    extra: Callable[[Config], Sequence[str]] = lambda config: ()
    defaults: Config = field(default_factory=dict)


def _sequence(key: str, steps: Sequence[Part]) -> Part | None:
    return {"type": "Sequence", key: list(steps)} if steps else None


def _replace(pattern: str, content: str, kind: str = "String") -> Part:
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def _precompiled(charsmap: bytes) -> list[Part]:
    text = base64.b64encode(charsmap).decode()
    return [{"type": "Precompiled", "precompiled_charsmap": text}] if charsmap else []


def _bert(config: Config, charsmap: bytes) -> Part:
    return {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": bool(config.get("tokenize_chinese_chars", True)),
            "strip_accents": config.get("strip_accents"),
            "lowercase": bool(config.get("do_lower_case", True)),
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    }


def _byte_level(config: Config, charsmap: bytes) -> Part:
    step = {"type": "ByteLevel", "add_prefix_space": bool(config.get("add_prefix_space", False))}
    step |= {"trim_offsets": True, "use_regex": True}
    return {
        "normalizer": None,
        "pre_tokenizer": step,
        "decoder": {**step, "add_prefix_space": True},
    }


def _clip(config: Config, charsmap: bytes) -> Part:
    split: Part = {"type": "Split", "pattern": {"Regex": _CLIP_PATTERN}}
    split |= {"behavior": "Removed", "invert": True}
    parts = _byte_level({}, charsmap)
    lower: list[Part] = [{"type": "NFC"}, _replace(r"\s+", " ", "Regex"), {"type": "Lowercase"}]
    return parts | {
        "normalizer": _sequence("normalizers", lower),
        "pre_tokenizer": _sequence("pretokenizers", [split, parts["pre_tokenizer"]]),
    }


def _pieces(normalizers: list[Part], scheme: str, *, words: bool = True, before: str = "") -> Part:
    """The steps of a SentencePiece vocabulary; `words` cuts at white space and drops it."""
    spaces = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": True}
    first = [{"type": "WhitespaceSplit"}] if words else []
    if before:
        first.append({"type": "Punctuation", "behavior": before})
    return {
        "normalizer": _sequence("normalizers", normalizers),
        "pre_tokenizer": _sequence("pretokenizers", [*first, spaces]),
        "decoder": spaces,
    }


def _characters(config: Config, charsmap: bytes) -> Part:
    split = {"type": "Split", "pattern": {"Regex": r"[\s\S]"}}
    cut = {**split, "behavior": "Isolated", "invert": False}
    return {"normalizer": None, "pre_tokenizer": cut, "decoder": None}


def _scheme(config: Config, otherwise: str = "never") -> str:
    return "always" if config.get("add_prefix_space", True) else otherwise


def _xlm_roberta(config: Config, charsmap: bytes) -> Part:
    return _pieces(_precompiled(charsmap), _scheme(config))


def _t5(config: Config, charsmap: bytes) -> Part:
    return _pieces(_precompiled(charsmap), "always")


def _mbart(config: Config, charsmap: bytes) -> Part:
    return _pieces([], "always")


def _mbart50(config: Config, charsmap: bytes) -> Part:
    spaces = _replace(" {2,}", " ", "Regex")
    return _pieces([*_precompiled(charsmap), spaces], "always", words=False)


def _albert(config: Config, charsmap: bytes) -> Part:
    steps = [_replace("``", '"'), _replace("''", '"')]
    if not config.get("keep_accents", False):
        steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
    if config.get("do_lower_case", True):
        steps.append({"type": "Lowercase"})
    return _pieces([*steps, *_precompiled(charsmap)], _scheme(config))


def _xlnet(config: Config, charsmap: bytes) -> Part:
    return _albert({"do_lower_case": config.get("do_lower_case", False)}, charsmap)


def _deberta_v2(config: Config, charsmap: bytes) -> Part:
    steps: list[Part] = [{"type": "Lowercase"}] if config.get("do_lower_case", False) else []
    steps += [
        _replace(r"\s{2,}|[\n\r\t]", " ", "Regex"),
        {"type": "NFC"},
        {"type": "Strip", "strip_left": False, "strip_right": True},
    ]
    before = "Isolated" if config.get("split_by_punct", False) else ""
    return _pieces(steps, _scheme(config, "first"), words=False, before=before)


_MOST_SENTINELS: Final = 100_000


def _sentinels(config: Config) -> list[str]:
    """T5's tokens for what is left out of a text, as its vocabulary ends with them."""
    count = config.get("extra_ids", 100)
    if type(count) is not int or not 0 <= count <= _MOST_SENTINELS:
        wanted = f"a number up to {_MOST_SENTINELS}"
        raise FormatError("tokenizer_config.json", "extra_ids", wanted, count)
    return [f"<extra_id_{i}>" for i in reversed(range(count))]


def _pegasus_masks(config: Config) -> list[str]:
    """What stood for whole sentences and for words in training, and tokens that nothing uses."""
    count = config.get("offset", 103)
    if type(count) is not int or not 2 <= count <= _MOST_SENTINELS:
        wanted = f"a number from 2 to {_MOST_SENTINELS}"
        raise FormatError("tokenizer_config.json", "offset", wanted, count)
    return ["<mask_1>", "mask", *[f"<unk_{i}>" for i in range(2, count)]]


def _pegasus(config: Config, charsmap: bytes) -> Part:
    first = _precompiled(charsmap) or [_replace(r"\n", " ", "Regex")]
    return _pieces([*first, _replace(" {2,}", " ", "Regex")], "always", words=False)


_TWO_SEPARATORS: Final = ("cls A sep", "cls A sep sep B sep")
_TYPED: Final = ("cls A sep", "cls A sep B:1 sep:1")
_BERT: Final = Recipe("WordPiece", _BERT_ROLES, *_TYPED, _bert)
_ROBERTA: Final = Recipe("BPE", _ROBERTA_ROLES, *_TWO_SEPARATORS, _byte_level)
_FAIRSEQ_HEAD: Final = ("bos", "pad", "eos", "unk")
_XLM_ROBERTA: Final = Recipe(
    "Unigram", _ROBERTA_ROLES, "bos A eos", "bos A eos eos B eos", _xlm_roberta,
    head=_FAIRSEQ_HEAD, skip=3, tail=lambda config: ("mask",), unk_id=3,
)  # fmt: skip

RECIPES: Final[Mapping[str, Recipe]] = {
    **dict.fromkeys(
        ("Bert", "DistilBert", "Electra", "MobileBert", "LayoutLM", "ConvBert", "SqueezeBert",
         "Lxmert", "RetriBert", "DPRContextEncoder", "DPRQuestionEncoder", "DPRReader"),
        _BERT,
    ),
    "MPNet": Recipe(
        "WordPiece", {**_ROBERTA_ROLES, "unk": "[UNK]"}, *_TWO_SEPARATORS, _bert,
        mask_strips=True,
    ),
    **dict.fromkeys(("Roberta", "Bart", "Longformer", "LED", "Mvp"), _ROBERTA),
    "LayoutLMv3": Recipe(
        "BPE", _ROBERTA_ROLES, *_TWO_SEPARATORS, _byte_level, defaults={"add_prefix_space": True},
    ),
    "Deberta": Recipe(
        "BPE", {**_BERT_ROLES, "bos": "[CLS]", "eos": "[SEP]"}, *_TWO_SEPARATORS, _byte_level,
    ),
    "GPT2": Recipe("BPE", _GPT2_ROLES, "A", "A B:1", _byte_level),
    "CLIP": Recipe(
        "BPE", {**_GPT2_ROLES, "bos": "<|startoftext|>", "pad": "<|endoftext|>"},
        "bos A eos", "bos A eos eos B eos", _clip, suffix="</w>",
    ),
    "XLMRoberta": _XLM_ROBERTA,
    "Camembert": Recipe(
        "Unigram", _ROBERTA_ROLES, "bos A eos", "bos A eos eos B eos", _xlm_roberta,
        head=("<s>NOTUSED", "pad", "</s>NOTUSED", "unk", "<unk>NOTUSED"), skip=1,
        tail=lambda config: ("mask",),
        unk_id=3, mask_strips=True,
    ),
    "MBart": Recipe(
        "Unigram", _ROBERTA_ROLES, "A eos lang", "A B eos lang", _mbart,
        head=_FAIRSEQ_HEAD, skip=3, tail=lambda config: (*_MBART, "mask"), unk_id=3,
        mask_strips=True, extra=lambda config: _MBART,
    ),
    "MBart50": Recipe(
        "Unigram", {**_ROBERTA_ROLES, "bos": ""}, "lang A eos", "lang A B eos", _mbart50,
        head=("cls", "pad", "eos", "unk"), skip=3, tail=lambda config: (*_MBART50, "mask"),
        unk_id=3, mask_strips=True, extra=lambda config: _MBART50,
    ),
    "T5": Recipe(
        "Unigram", {"eos": "</s>", "unk": "<unk>", "pad": "<pad>"}, "A eos", "A eos B eos", _t5,
        unk_id=2, tail=_sentinels, extra=_sentinels,
    ),
    "Pegasus": Recipe(
        "Unigram", {"eos": "</s>", "unk": "<unk>", "pad": "<pad>", "mask": "<mask_2>"},
        "A eos", "A B eos", _pegasus, head=("pad", "eos"), after_head=_pegasus_masks, skip=2,
        extra=lambda config: [name for name in _pegasus_masks(config) if name != "mask"],
    ),
    "Albert": Recipe(
        "Unigram", {**_BERT_ROLES, "bos": "[CLS]", "eos": "[SEP]", "unk": "<unk>", "pad": "<pad>"},
        *_TYPED, _albert, unk_id=1,
    ),
    "DebertaV2": Recipe(
        "Unigram", {**_BERT_ROLES, "bos": "[CLS]", "eos": "[SEP]"}, *_TYPED, _deberta_v2,
    ),
    "Mgpstr": Recipe(
        "WordLevel", {"unk": "[GO]", "bos": "[GO]", "eos": "[s]", "pad": "[GO]"}, "A", "A B:1",
        _characters,
    ),
    "XLNet": Recipe(
        "Unigram",
        {**_ROBERTA_ROLES, "sep": "<sep>", "cls": "<cls>"},
        "A sep cls:2", "A sep B:1 sep:1 cls:2", _xlnet,
        extra=lambda config: ("<eop>", "<eod>"), defaults={"padding_side": "left"},
    ),
}  # fmt: skip
# The class that transformers gives a type of models whose folder names none.
CLASS_OF_MODEL: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("align", "bert", "blip", "bros", "chinese_clip", "convbert", "electra", "ernie", "flava",
         "git", "grounding-dino", "layoutlm", "lxmert", "megatron-bert", "mm-grounding-dino",
         "mobilebert", "nezha", "nomic_bert", "qdqbert", "squeezebert", "tvp", "vilt",
         "visual_bert"),
        "Bert",
    ),
    "distilbert": "DistilBert",
    "mpnet": "MPNet",
    **dict.fromkeys(
        ("roberta", "bart", "longformer", "led", "bridgetower", "clap", "data2vec-text", "ibert",
         "lilt", "roberta-prelayernorm"),
        "Roberta",
    ),
    "layoutlmv3": "LayoutLMv3",
    "deberta": "Deberta",
    "gpt2": "GPT2",
    **dict.fromkeys(("clip", "clipseg", "groupvit", "owlvit", "owlv2", "xclip", "aimv2"), "CLIP"),
    **dict.fromkeys(
        ("xlm-roberta", "trocr", "gte", "jina_embeddings_v3", "metaclip_2", "xmod"), "XLMRoberta"
    ),
    "camembert": "Camembert",
    "mbart": "MBart",
    "mbart50": "MBart50",
    **dict.fromkeys(("t5", "mt5", "umt5", "switch_transformers"), "T5"),
    "m2m_100": "M2M100",
    "marian": "Marian",
    "pegasus": "Pegasus",
    "albert": "Albert",
    "deberta-v2": "DebertaV2",
    "xlnet": "XLNet",
    "mgp-str": "Mgpstr",
    "canine": "Canine",
    "siglip": "Siglip",
    "baichuan": "Baichuan",
    "internlm2": "InternLM2",
    "qwen": "QWen",
    **dict.fromkeys(("rwkv5", "rwkv6", "rwkv7"), "Rwkv"),
}  # fmt: skip
# What language models without a tokenizer.json have: SentencePiece's file and tiktoken's.
LANGUAGE_FILES: Final = ("tokenizer.model", "qwen.tiktoken")
RWKV_FILE: Final = "rwkv_vocab_v20230424.txt"
# Classes that are not steps of a tokenizer.json: module and function that read them, and the file
# beside which a tokenizer.json is not asked.
OWN: Final[Mapping[str, tuple[str, str, str]]] = {
    "ByT5": ("byt5", "read", ""),
    "Canine": ("code_points", "read", ""),
    "M2M100": ("spm_words", "read_m2m100", "sentencepiece.bpe.model"),
    "Marian": ("spm_words", "read_marian", "source.spm"),
    "Siglip": ("siglip", "read", "spiece.model"),
    **dict.fromkeys(("Baichuan", "ChatGLM", "InternLM", "InternLM2"), ("spm_folder", "read", "")),
    **dict.fromkeys(("QWen", "ChatGLM4"), ("tiktoken_files", "read", "")),
    **dict.fromkeys(("Rwkv", "Rwkv5", "Rwkv6", "RWKVWorld"), ("rwkv_world", "read", RWKV_FILE)),
}
