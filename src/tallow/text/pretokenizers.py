r"""How each named pre-tokenizer of byte-pair vocabularies cuts text into words: a row each.

The names are those that llama.cpp's converter writes as `tokenizer.ggml.pre`, the patterns those of
the models' own tokenizer.json. Patterns use `\p{L}`-style classes, which Hugging Face's engine
knows and `unicode_regex` translates.
"""

from __future__ import annotations

import functools

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass, replace


@dataclass(frozen=True)
class PreTokenizer:
    """Patterns applied one after the other; each cuts the pieces of the one before at its matches.

    `ignore_merges`: a word that stands whole in the vocabulary is taken without merging. `add_bos`:
    the default when the file says nothing. `byte_level`: symbols are GPT-2's printable stand-ins
    for bytes; otherwise they are characters, spaces are written `▁`, and `<0xXX>` tokens stand for
    what the vocabulary lacks.
    """

    patterns: tuple[str, ...]
    ignore_merges: bool = False
    add_bos: bool = False
    byte_level: bool = True


_CONTRACTION = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_PUNCTUATION = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_NEWLINES = r"\s*[\r\n]+"
_SPACES = r"\s+(?!\S)|\s+"
_WORD = r"[^\r\n\p{L}\p{N}]?\p{L}+"

# A word in GPT-4o's sense is capitals, then small letters; either part may be missing.
_CAPITALS = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_SMALL = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD = r"[^\r\n\p{L}\p{N}]?"


def _cased(before: str, capitals: str, small: str, after: str) -> str:
    return f"{before}{capitals}*{small}+{after}|{before}{capitals}+{small}*{after}"


def _gpt4(digits: str, *, word: str = _WORD, punctuation: str = _PUNCTUATION) -> str:
    return f"{_CONTRACTION}|{word}|{digits}|{punctuation}|{_NEWLINES}|{_SPACES}"


def _gpt4o(digits: str, *, contraction: str = f"{_CONTRACTION}?") -> str:
    words = _cased(_LEAD, _CAPITALS, _SMALL, contraction)
    return f"{words}|{digits}| ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n/]*|{_NEWLINES}|{_SPACES}"


_GPT2 = rf"'s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?\p{{N}}+| ?[^\s\p{{L}}\p{{N}}]+|{_SPACES}"
_LLAMA3 = _gpt4(r"\p{N}{1,3}")
_QWEN2 = _gpt4(r"\p{N}")
_ASCII_PUNCTUATION = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
_DEEPSEEK3_WORDS = (
    rf"{_ASCII_PUNCTUATION}|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+"
    rf"| ?[\p{{P}}\p{{S}}]+[\r\n]*|{_NEWLINES}|{_SPACES}"
)
_CJK = "[一-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_BLOOM = " ?[^(\\s|.,!?…。，、।۔،)]+"
_LINES = r"[^\n]+|[\n]+"

# Cased letters as the DeepSeek LLM tokenizer spells them out, in runs of `first-last`.
_DEEPSEEK_CASED = (
    "A-Za-z\xb5\xc0-\xd6\xd8-\xf6\xf8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5"
    "\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3"
    "\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115"
    "\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f"
    "\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf"
    "\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f"
    "\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2"
    "\U000118a0-\U000118df\U0001e900-\U0001e943"
)
# Unicode's script Han, which neither Python's `re` nor `unicodedata` knows by name.
_HAN = (
    "\u2e80-\u2e99\u2e9b-\u2ef3\u2f00-\u2fd5\u3005\u3007\u3021-\u3029\u3038-\u303b"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufa6d\ufa70-\ufad9\U00016fe2\U00016fe3"
    "\U00016ff0\U00016ff1\U00020000-\U0002a6df\U0002a700-\U0002b739\U0002b740-\U0002b81d"
    "\U0002b820-\U0002cea1\U0002ceb0-\U0002ebe0\U0002ebf0-\U0002ee5d\U0002f800-\U0002fa1d"
    "\U00030000-\U0003134a\U00031350-\U000323af"
)
_AFMOE_ASIAN = (
    "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f"
    "\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f\uaa60-\uaa7f"
    "\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+"
)
_KIMI = (
    f"[{_HAN}]+|"
    + _cased(
        _LEAD,
        f"(?:(?![{_HAN}]){_CAPITALS})",
        f"(?:(?![{_HAN}]){_SMALL})",
        f"{_CONTRACTION}?",
    )
    + rf"|\p{{N}}{{1,3}}|{_PUNCTUATION}|{_NEWLINES}|{_SPACES}"
)
_JAIS2_SPACES = "|".join(rf"\s{{{n}}}(?!\S)" for n in (512, 256, 128, 64, 32, 16, 8, 4, "1,2"))
_SPARK = (
    rf"{_ASCII_PUNCTUATION}|[^\r\n\p{{L}}\p{{P}}\p{{S}}]?[\p{{L}}\p{{M}}]+"
    rf"| ?[\p{{P}}\p{{S}}]+|[\r\n]|{_SPACES}"
)
_YOUTU = (
    "[\uac00-\ud7a3\u3131-\u318e]+|[！…“”‘’—：；，\u3001-\u303f\ufe30-\ufe4f]+"
    "|[\u3105-\u312f]+|[一-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
)
_EXAONE_MOE = (
    rf"{_CONTRACTION}|[^\r\n\p{{L}}\p{{N}}]?(?:\p{{L}}\p{{M}}*(?: \p{{L}}\p{{M}}*)*)+"
    rf"|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]?|\s*[\r\n]|{_SPACES}"
)

_gpt2 = PreTokenizer((_GPT2,))
_digits_gpt2 = PreTokenizer((r"\p{N}", _GPT2))
_llama3 = PreTokenizer((_LLAMA3,), ignore_merges=True, add_bos=True)
_plain_llama3 = PreTokenizer((_LLAMA3,))
_qwen2 = PreTokenizer((_QWEN2,))
_gpt_4o = PreTokenizer((_gpt4o(r"\p{N}{1,3}"),))
_tiny_aya = PreTokenizer((r"\d{1,3}(?=(?:\d{3})*\b)", _gpt4o(r"\p{N}{1,3}")))
_deepseek3 = PreTokenizer((r"\p{N}{1,3}", _CJK, _DEEPSEEK3_WORDS))
_bloom = PreTokenizer((_BLOOM,))
_bloom_digits = PreTokenizer((_BLOOM, r"\p{N}"))
_lines = PreTokenizer((_LINES,), byte_level=False)
_bailing = PreTokenizer(
    (rf"'(?i:[sdmt]|ll|ve|re)|{_WORD}|\p{{N}}|{_PUNCTUATION}|\s*[\r\n]|{_SPACES}",)
)

_ROWS: tuple[tuple[PreTokenizer, str], ...] = (
    (
        PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
        "default",
    ),
    (
        _gpt2,
        """gpt2 gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4
        jina-es jina-de jina-v2-es
        jina-v2-de jina-v1-en jina-v2-code roberta-bpe gigachat a.x-4.0 mellum modern-bert""",
    ),
    (
        _digits_gpt2,
        "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
    ),
    (_llama3, "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano"),
    (_plain_llama3, "dbrx smaug-bpe chatglm-bpe glm4"),
    (_qwen2, "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2"),
    (
        PreTokenizer(
            (
                _gpt4(
                    r"\p{N}",
                    word=r"[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+",
                    punctuation=r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
                ),
            )
        ),
        "qwen35",
    ),
    (PreTokenizer((f"{_WORD}|\\p{{N}}|{_PUNCTUATION}|{_NEWLINES}|{_SPACES}",)), "ufakzeka"),
    (PreTokenizer((_gpt4(r"\p{N}", punctuation=r" ?[^\s\p{L}\p{N}\r\n]+"),)), "seed-coder"),
    (PreTokenizer((_LINES, _QWEN2)), "laguna"),
    (PreTokenizer((r"\p{N}{1,3}", _gpt4(r"\p{N}+")), ignore_merges=True), "minicpm5"),
    (_gpt_4o, "gpt-4o o200k llama4 kanana2 talkie minimax-m2"),
    (replace(_gpt_4o, ignore_merges=True), "granite-embed-multi-97m"),
    (_tiny_aya, "tiny_aya cohere2moe"),
    (
        PreTokenizer((_gpt4o(r"\p{N}", contraction=""),), ignore_merges=True, add_bos=True),
        "tekken",
    ),
    (
        PreTokenizer(
            (
                # As in tokenizer.json: U+2000 to U+2029 and U+3000 lie within these classes.
                # llama.cpp makes every such space a \v first, which then lies in none.
                "[\r\n]",
                rf"\s?[{_DEEPSEEK_CASED}]+",
                "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
                r"\s+$",
                "[一-\u9fa5\u0800-一\uac00-\ud7ff]+",
                r"\p{N}+",
            )
        ),
        "deepseek-llm",
    ),
    (
        PreTokenizer(
            (
                "[\r\n]",
                r"\s?\p{L}+",
                r"\s?\p{P}+",
                "[一-\u9fa5\u0800-一\uac00-\ud7ff]+",
                r"\p{N}",
            )
        ),
        "deepseek-coder",
    ),
    (_deepseek3, "deepseek-v3 hunyuan-dense joyai-llm hy_v4"),
    (
        PreTokenizer(
            (
                r"\p{N}{1,3}",
                _CJK,
                _SPARK,
                r"\p{N}",
            )
        ),
        "spark2_5",
    ),
    (
        PreTokenizer(
            (
                _YOUTU,
                _gpt4o(r"\p{N}"),
            ),
            ignore_merges=True,
        ),
        "youtu",
    ),
    (PreTokenizer((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")), "falcon"),
    (_bloom, "bloom poro-chat gpt3-finnish"),
    (_bloom_digits, "viking"),
    (
        PreTokenizer(
            (
                "<sentinel:[0-9]+>",
                "(?:IMGIMG)(?:[A-I]{1,4})Z",
                "[\\t\\n]|    |  ",
                r"\p{N}",
                r"[\p{P}!-/:-@\[-`{-~]",
                _GPT2,
            ),
            add_bos=True,
        ),
        "chameleon",
    ),
    (
        PreTokenizer(
            (
                rf"{_CONTRACTION}|{_WORD}|\p{{N}}{{1,3}}|{_PUNCTUATION}|{_NEWLINES}|{_JAIS2_SPACES}|\s",
            )
        ),
        "jais-2",
    ),
    (_bailing, "bailingmoe bailingmoe2 llada-moe"),
    (
        PreTokenizer((_EXAONE_MOE,)),
        "exaone-moe",
    ),
    (PreTokenizer((_KIMI,)), "kimi-k2"),
    (PreTokenizer((r"\p{N}+", r"(?=(?:\d{3})+(?!\d))")), "superbpe"),
    (
        PreTokenizer((r"\p{N}+", r"\p{N}{1,3}(?=(?:\p{N}{3})*$)", _AFMOE_ASIAN, _DEEPSEEK3_WORDS)),
        "afmoe",
    ),
    (replace(_lines, add_bos=True), "gemma4 granite-embed-multi-311m"),
    (_lines, "sarvam-moe"),
)


@functools.cache
def _table() -> dict[str, PreTokenizer]:
    return {name: row for row, names in _ROWS for name in names.split()}


def names() -> list[str]:
    """Every known pre-tokenizer name, sorted."""
    return sorted(_table())


def by_name(name: str) -> PreTokenizer:
    """The row of a `tokenizer.ggml.pre` name; an empty name is `default`, as in llama.cpp.

    Raises:
        ModelError: the name is not in the table; the text lists those that are.
    """
    row = _table().get(name or "default")
    if row is None:
        raise ModelError(
            f"tokenizer.ggml.pre: unknown pre-tokenizer {name!r}; known: {', '.join(names())}"
        )
    return row
