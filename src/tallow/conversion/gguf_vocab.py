"""The tokenizer of a Hugging Face folder as the metadata of a GGUF file.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (`tokenizer.ggml.*`), and what
llama.cpp's converter chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tallow.errors import MissingExtraError, ModelError
from tallow.formats.gguf import Typed

if TYPE_CHECKING:
    from tallow.text import Tokenizer
    from tallow.text.vocab import Vocab

UNUSED = 5  # a kind of token, as in `tallow.text.vocab`

_ID_KEYS = {
    "bos": "bos_token_id",
    "eos": "eos_token_id",
    "unk": "unknown_token_id",
    "sep": "seperator_token_id",  # the format spells it with an e
    "pad": "padding_token_id",
}

# Names of `tokenizer.ggml.pre` that may be written, the likelier first where two cut alike.
_PRE_NAMES = (
    "gpt-2", "smollm", "llama-bpe", "smaug-bpe", "qwen2", "qwen35", "gpt-4o", "tekken",
    "deepseek-llm", "deepseek-coder", "deepseek-v3", "falcon", "bloom", "viking", "kimi-k2",
    "superbpe", "seed-coder", "minicpm5", "bailingmoe", "exaone-moe", "jais-2", "youtu", "default",
)  # fmt: skip

# Cut by every pattern at some place: contractions, digits, spaces, line ends, marks, scripts.
_PROBE = (
    "It's we'LL I'd HE'S don't 1 12 123 1234 12345678 3.14 a1b22c333 \u0663\u0664 "
    "two  three   four\ttab \n line\n\n\n  indented\r\n end   \n"
    "snake_case camelCase HTTPServer x+=1; //~!@#$%^&*()[]{} ... --- \u2026\u201cquote\u201d "
    "na\u00efve e\u0301 \u00fcber \u0434\u043e\u043c \u041c\u043e\u0441\u043a\u0432\u0430 "
    "\u4f60\u597d\u4e16\u754c\u3002 \u65e5\u672c\u8a9e\u30c6 \ud55c\uad6d\uc5b4 "
    "\u0928\u092e\u0938\u094d\u0924\u0947 \U0001f600\U0001f680 \u00a0nbsp [INST] <s> </s>"
)


def vocab_metadata(folder: Path, config: Mapping[str, Any], size: int) -> dict[str, Any]:
    """`tokenizer.*` keys for the folder's tokenizer, padded to `size` tokens.

    A folder without tokenizer.json gives a model of token ids alone, which llama.cpp loads too.

    Raises:
        FormatError, MissingExtraError: as `Tokenizer.from_folder`.
        ModelError: more tokens than `size`, or text is cut in a way that no
            pre-tokenizer of llama.cpp's is known to follow.
    """
    from tallow.text import Tokenizer
    from tallow.text.folder import read_folder

    if not has_tokenizer(folder):
        return {"tokenizer.ggml.model": Typed("str", "no_vocab")}
    tokenizer = Tokenizer.from_folder(folder)
    vocab, _ = read_folder(folder, "auto")
    count = len(vocab.tokens)
    if count > size:
        raise ModelError(f"{folder}: vocab_size: expected at least {count} tokens, found {size}")
    fill = range(count, size)
    tokens = [*vocab.tokens, *("" for _ in fill)]
    kinds = [*vocab.kinds, *(UNUSED for _ in fill)]
    for index, text in enumerate(tokens):
        if not text:  # one of these, or an id that the file leaves out
            tokens[index], kinds[index] = f"[PAD{index}]", UNUSED
    keys, head = dict[str, Any](), "tokenizer.ggml."
    if vocab.algorithm == "bpe":
        keys[head + "model"] = Typed("str", "gpt2")
        keys[head + "pre"] = Typed("str", pre_tokenizer_name(folder))
    elif vocab.algorithm == "spm":
        keys[head + "model"] = Typed("str", "llama")
        keys[head + "pre"] = Typed("str", "default")
        keys[head + "scores"] = Typed("arr[f32]", _scores(vocab, size))
        keys[head + "add_space_prefix"] = Typed("bool", vocab.add_space_prefix)
    elif vocab.algorithm == "trie":
        keys[head + "model"] = Typed("str", "rwkv")
    elif vocab.algorithm == "unigram":
        from tallow.conversion.gguf_unigram import unigram_keys

        keys |= {head + name: value for name, value in unigram_keys(folder, size).items()}
    else:
        wanted = "a byte-pair or SentencePiece vocabulary"
        raise ModelError(f"{folder}: tokenizer.json: expected {wanted}, got {vocab.algorithm}")
    keys[head + "tokens"] = Typed("arr[str]", tokens)
    keys[head + "token_type"] = Typed("arr[i32]", kinds)
    if vocab.algorithm == "bpe":
        keys[head + "merges"] = Typed("arr[str]", list(vocab.merges))
    return keys | _special(vocab, config, size) | _affixes(tokenizer, vocab)


def lost_of_tokenizer(folder: Path, metadata: Mapping[str, Any]) -> list[str]:
    """What a folder's tokenizer does otherwise when it is read from GGUF metadata, in sentences."""
    from tallow.text import Tokenizer

    if not has_tokenizer(folder):
        return ["no tokenizer.json: a model of ids alone"]
    try:
        ours = Tokenizer.from_gguf(metadata)
    except ModelError as error:
        return [f"tokenizer: a GGUF file of it cannot be read: {error}"]
    theirs = Tokenizer.from_folder(folder)
    lost = []
    other = [text for text in _texts(folder) if not _same_ids(ours, theirs, text)]
    if other:
        steps = _normalizers(folder)
        why = f" (normalizer {', '.join(steps)})" if steps else ""
        shown = ", ".join(map(ascii, other[:3]))
        lost.append(f"tokenizer: {shown} gets other ids from a GGUF file{why}")
    for role in ("bos_id", "eos_id", "eos_ids"):
        before, after = getattr(theirs, role), getattr(ours, role)
        if before != after:
            lost.append(f"tokenizer: {role}: {_ids(before)} becomes {_ids(after)}")
    named = [name for name in _template_names(folder) if name != "default"]
    if named:
        lost.append(f"chat templates {', '.join(named)} stay behind: only the default goes along")
    return lost


def _ids(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value


_MOST_ADDED = 64  # added tokens that are tried with spaces around them


# What normalizers change: composition, width, ligatures, jamo, case, accents, spaces.
_NORMALIZED = (
    "e\u0301",
    "\uff21\uff11",
    "\ufb01",
    "\u1100\u1161",
    "AB \u0130",
    " x",
    "x  y ",
    "\tx",
)


def _texts(folder: Path) -> list[str]:
    """Texts in which tokenizers differ: pieces of `_PROBE`, `_NORMALIZED`, added tokens."""
    from tallow.weights.open import read_json

    pieces = [piece for piece in _PROBE.split(" ") if piece]
    file = folder / "tokenizer.json"
    added = read_json(file).get("added_tokens") if file.is_file() else None
    rows = added[:_MOST_ADDED] if isinstance(added, list) else []
    named = [f"x {row.get('content')} y" for row in rows if isinstance(row, dict)]
    return [*_NORMALIZED, *pieces, *named]


def _same_ids(ours: Tokenizer, theirs: Tokenizer, text: str) -> bool:
    return all(
        ours.encode(text, parse_special=special) == theirs.encode(text, parse_special=special)
        for special in (False, True)
    )


def _normalizers(folder: Path) -> list[str]:
    from tallow.weights.open import read_json

    file = folder / "tokenizer.json"
    step = read_json(file).get("normalizer") if file.is_file() else None
    steps = step.get("normalizers") if isinstance(step, dict) else None
    rows = steps if isinstance(steps, list) else [step]
    return [str(row.get("type")) for row in rows if isinstance(row, dict)]


def _template_names(folder: Path) -> list[str]:
    from tallow.weights.open import read_json

    file = folder / "tokenizer_config.json"
    found = read_json(file).get("chat_template") if file.is_file() else None
    rows = found if isinstance(found, list) else []
    named = [str(row.get("name")) for row in rows if isinstance(row, dict)]
    beside = folder / "additional_chat_templates"
    if beside.is_dir():
        named += sorted(path.stem for path in beside.iterdir() if path.suffix == ".jinja")
    return named


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder brings a file that tokenizers are read from and GGUF has a place for."""
    from tallow.text.recipes import LANGUAGE_FILES, RWKV_FILE
    from tallow.text.vocab_files import is_there

    names = ("tokenizer.json", "spiece.model", RWKV_FILE, *LANGUAGE_FILES)
    return any((folder / name).is_file() for name in names) and is_there(folder)


def _special(vocab: Vocab, config: Mapping[str, Any], size: int) -> dict[str, Any]:
    """Ids by role: the tokenizer's own, else those of config.json."""
    keys: dict[str, Any] = {}
    for role, key in _ID_KEYS.items():
        index = vocab.special.get(role, config.get(f"{role}_token_id"))
        if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < size:
            keys[f"tokenizer.ggml.{key}"] = Typed("u32", index)
    if vocab.chat_template is not None:
        keys["tokenizer.chat_template"] = Typed("str", vocab.chat_template)
    return keys


def _affixes(tokenizer: Tokenizer, vocab: Vocab) -> dict[str, Any]:
    """Whether bos and eos are added, judged by what the tokenizer does."""
    plain = tokenizer.encode("a", add_special=False)
    whole = tokenizer.encode("a", add_special=True)
    at = next((i for i in range(len(whole)) if whole[i : i + len(plain)] == plain), 0)
    before, after = whole[:at], whole[at + len(plain) :]
    return {
        "tokenizer.ggml.add_bos_token": Typed("bool", vocab.special.get("bos") in before),
        "tokenizer.ggml.add_eos_token": Typed("bool", vocab.special.get("eos") in after),
    }


def _scores(vocab: Vocab, size: int) -> list[float]:
    """Scores that order merges as the file does: minus the rank of the first that makes a token.

    Tokens that no merge makes come after all others. A model of SentencePiece says its own.
    """
    if vocab.scores:
        return [*vocab.scores, *[0.0] * (size - len(vocab.scores))]
    ranks: dict[str, int] = {}
    for rank, pair in enumerate(vocab.merges):
        left, _, right = pair.partition(" ")
        ranks.setdefault(left + right, rank)
    last = len(vocab.merges)
    return [-float(ranks.get(text, last)) for text in vocab.tokens] + [-float(last)] * (
        size - len(vocab.tokens)
    )


def pre_tokenizer_name(folder: Path) -> str:
    """The `tokenizer.ggml.pre` that cuts text as the folder's tokenizer.json does.

    Raises:
        ModelError: none of those that may be written does.
    """
    from tallow.text.encoder import VocabEncoder
    from tallow.text.folder import read_folder
    from tallow.text.pretokenizers import PreTokenizer, by_name
    from tallow.text.unicode_regex import compile_pattern, split

    def cut(pre: PreTokenizer) -> list[str]:
        return split(_PROBE, [compile_pattern(pattern) for pattern in pre.patterns])

    try:
        vocab, encoder = read_folder(folder, "python")
        if not isinstance(encoder, VocabEncoder):
            raise MissingExtraError("steps beside patterns")
    except MissingExtraError as error:  # steps that llama.cpp does not know
        steps = ", ".join(_normalizers(folder)) or "none"
        wanted = "steps that a GGUF file can name"
        raise ModelError(
            f"{folder}: tokenizer.json: expected {wanted}, found others (normalizer {steps}) or "
            "options of its model and added tokens"
        ) from error
    own = cut(vocab.pre)
    alike = [name for name in _PRE_NAMES if by_name(name).byte_level and cut(by_name(name)) == own]
    for name in alike:
        if by_name(name).ignore_merges == vocab.pre.ignore_merges:
            return name
    found = f"{len(vocab.pre.patterns)} patterns that cut differently"
    raise ModelError(
        f"{folder}: tokenizer.json: expected to cut text like one of {', '.join(_PRE_NAMES)}, "
        f"found {found}"
    )
