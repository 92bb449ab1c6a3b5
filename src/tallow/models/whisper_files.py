"""Whisper in files of CTranslate2 (faster-whisper) and of whisper.cpp, by Hugging Face's names.

Sources: CTranslate2's `whisper_spec.py` and `layers` (names, settings), whisper.cpp's
`convert-pt-to-ggml.py` and OpenAI's model (names).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from math import prod
from typing import Any, Final

from tallow.errors import ModelError
from tallow.models.whisper_vocab import SpeechTokens
from tallow.weights import WeightSource
from tallow.weights.arrange import TensorMap, WeightConverter, mapped, rename, split
from tallow.weights.int_rows import with_rows

_ACTIVATIONS: Final = ("relu", "gelu_new", "silu", "gelu", "quick_gelu", "tanh")  # by number
_FIXED: Final = {
    "decoder/alibi": 0, "decoder/pre_norm": 1, "decoder/scale_embeddings": 0,
    "decoder/start_from_zero_embedding": 0,
}  # fmt: skip
_MOST_HEADS: Final = 1 << 15


def _vector(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (prod(shape),)


# ggml adds biases of convolutions as matrices of one column.
_AS_VECTOR: Final = TensorMap(
    lambda x: x.reshape(-1), lambda x: x.unsqueeze(1), _vector, lambda shape: (*shape, 1)
)


def _ct2_rules() -> Iterator[WeightConverter]:
    for side in ("encoder", "decoder"):
        for old, new in (("gamma", "weight"), ("beta", "bias")):
            yield rename(f"{side}/layer_norm/{old}", f"model.{side}.layer_norm.{new}")
            for part, norm in (
                ("self_attention", "self_attn_layer_norm"),
                ("attention", "encoder_attn_layer_norm"),
                ("ffn", "final_layer_norm"),
            ):
                yield rename(
                    f"{side}/layer_{{}}/{part}/layer_norm/{old}",
                    f"model.{side}.layers.{{}}.{norm}.{new}",
                )
        for kind in ("weight", "bias"):
            own, inner = f"{side}/layer_{{}}", f"model.{side}.layers.{{}}"
            at = f"{inner}.self_attn"
            yield split(
                f"{own}/self_attention/linear_0/{kind}",
                *(f"{at}.{x}_proj.{kind}" for x in "qkv"),
            )
            yield rename(f"{own}/self_attention/linear_1/{kind}", f"{at}.out_proj.{kind}")
            at = f"{inner}.encoder_attn"
            yield rename(f"{own}/attention/linear_0/{kind}", f"{at}.q_proj.{kind}")
            yield split(
                f"{own}/attention/linear_1/{kind}", *(f"{at}.{x}_proj.{kind}" for x in "kv")
            )
            yield rename(f"{own}/attention/linear_2/{kind}", f"{at}.out_proj.{kind}")
            yield rename(f"{own}/ffn/linear_0/{kind}", f"{inner}.fc1.{kind}")
            yield rename(f"{own}/ffn/linear_1/{kind}", f"{inner}.fc2.{kind}")
        yield rename(f"{side}/position_encodings/encodings", f"model.{side}.embed_positions.weight")
    for kind in ("weight", "bias"):
        for conv in ("conv1", "conv2"):
            yield rename(f"encoder/{conv}/{kind}", f"model.encoder.{conv}.{kind}")
    yield rename("decoder/embeddings/weight", "model.decoder.embed_tokens.weight")


def _openai_rules() -> Iterator[WeightConverter]:
    for side, norm in (("encoder", "ln_post"), ("decoder", "ln")):
        yield rename(f"{side}.positional_embedding", f"model.{side}.embed_positions.weight")
        for kind in ("weight", "bias"):
            yield rename(f"{side}.{norm}.{kind}", f"model.{side}.layer_norm.{kind}")
            own, inner = f"{side}.blocks.{{}}", f"model.{side}.layers.{{}}"
            for old, new in (
                ("attn_ln", "self_attn_layer_norm"),
                ("cross_attn_ln", "encoder_attn_layer_norm"),
                ("mlp_ln", "final_layer_norm"),
                ("mlp.0", "fc1"),
                ("mlp.2", "fc2"),
            ):
                yield rename(f"{own}.{old}.{kind}", f"{inner}.{new}.{kind}")
            for old, new in (("attn", "self_attn"), ("cross_attn", "encoder_attn")):
                for theirs, ours in (
                    ("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"),
                    ("out", "out_proj"),
                ):  # fmt: skip
                    yield rename(f"{own}.{old}.{theirs}.{kind}", f"{inner}.{new}.{ours}.{kind}")
    yield rename("decoder.token_embedding.weight", "model.decoder.embed_tokens.weight")
    for conv in ("conv1", "conv2"):
        yield rename(f"encoder.{conv}.weight", f"model.encoder.{conv}.weight")
        yield mapped(f"encoder.{conv}.bias", f"model.encoder.{conv}.bias", _AS_VECTOR)


def from_ct2(source: WeightSource) -> WeightSource:
    """A `WhisperSpec` of CTranslate2's.

    Raises:
        ModelError: a tensor that tells sizes is missing, or a setting is another than Whisper's.
    """
    for name, fixed in _FIXED.items():
        if name in source and _number(source, name) != fixed:
            found = _number(source, name)
            raise ModelError(f"{source.where(name)}: expected {fixed} for Whisper, found {found}")
    act = _number(source, "decoder/activation") if "decoder/activation" in source else 3
    if not 0 <= act < len(_ACTIVATIONS):
        wanted = f"0 to {len(_ACTIVATIONS) - 1}"
        raise ModelError(f"{source.where('decoder/activation')}: expected {wanted}, found {act}")
    width = _shape(source, "encoder/conv1/weight", 3)
    words = _shape(source, "decoder/embeddings/weight", 2)
    values: dict[str, Any] = {
        **_common(words[0], width[1], width[0]),
        "activation_function": _ACTIVATIONS[act],
        "max_source_positions": _shape(source, "encoder/position_encodings/encodings", 2)[0],
        "max_target_positions": _shape(source, "decoder/position_encodings/encodings", 2)[0],
    }
    for side in ("encoder", "decoder"):
        heads = _number(source, f"{side}/num_heads")
        ffn = _shape(source, f"{side}/layer_0/ffn/linear_0/weight", 2)[0]
        layers = sum(name.endswith("/ffn/linear_0/weight") for name in source.names()
                     if name.startswith(f"{side}/layer_"))  # fmt: skip
        values |= {
            f"{side}_attention_heads": heads, f"{side}_ffn_dim": ffn, f"{side}_layers": layers,
        }  # fmt: skip
    values |= {key: value for key, value in (source.config or {}).items() if key in _OURS}
    # The head is the table of words under a second name; the rest are settings.
    kept = [
        name
        for name in source.names()
        if (source.info(name).shape != () or name.endswith("_scale"))
        and not name.startswith("decoder/projection/")
    ]
    made = with_rows(source.select(kept)).arrange(_ct2_rules())
    made.config = values
    return made


# Of CTranslate2's config.json, what `Transcriber` reads.
_OURS: Final = ("alignment_heads", "suppress_ids", "suppress_ids_begin", "lang_ids")


def _common(vocabulary: int, bands: int, width: int) -> dict[str, Any]:
    ids = SpeechTokens.of(vocabulary)
    return {
        "model_type": "whisper",
        "architectures": ["WhisperForConditionalGeneration"],
        "vocab_size": vocabulary,
        "num_mel_bins": bands,
        "d_model": width,
        "pad_token_id": ids.end,
        "eos_token_id": ids.end,
        "decoder_start_token_id": ids.start,
    }


def from_ggml(source: WeightSource) -> WeightSource:
    """A file of whisper.cpp's, plain or quantised.

    Raises:
        ModelError: its vocabulary is not one of OpenAI's.
    """
    head = source.metadata
    values: dict[str, Any] = {
        **_common(head["n_vocab"], head["n_mels"], head["n_audio_state"]),
        "max_source_positions": head["n_audio_ctx"],
        "max_target_positions": head["n_text_ctx"],
    }
    for side, name in (("encoder", "audio"), ("decoder", "text")):
        values |= {
            f"{side}_attention_heads": head[f"n_{name}_head"],
            f"{side}_layers": head[f"n_{name}_layer"],
            f"{side}_ffn_dim": 4 * head[f"n_{name}_state"],
        }
    kept = [name for name in source.names() if name != "mel_filters"]
    made = source.select(kept).arrange(_openai_rules())
    vocabulary = getattr(source, "vocabulary", None) or _vocabulary(source)
    made.metadata = GgmlVocabulary(vocabulary, head["n_vocab"], dict(head))
    made.config = values
    return made


def _vocabulary(source: WeightSource) -> tuple[bytes, ...]:
    """The tokens of the file behind the source."""
    file: Any = next(iter(source.entries().values())).file
    found: tuple[bytes, ...] = file.vocabulary
    return found


class GgmlVocabulary(Mapping[str, Any]):
    """The metadata of a whisper.cpp file, and its vocabulary as GGUF's keys tell one.

    Such files have the tokens in the order of their merges, which follow from it; they are found
    when they are asked for.
    """

    def __init__(self, tokens: tuple[bytes, ...], count: int, head: Mapping[str, Any]) -> None:
        ids = SpeechTokens.of(count)
        self._bytes = tokens[: ids.end]
        names = ids.names()
        spelled = [_spelled(token) for token in self._bytes]
        spelled += [names.get(at, f"<|extra_{at}|>") for at in range(len(spelled), count)]
        kinds = [1] * len(self._bytes) + [3] * (count - len(self._bytes))
        head_of = "tokenizer.ggml."
        self._values = {
            **head,
            f"{head_of}model": "gpt2",
            f"{head_of}pre": "gpt-2",
            f"{head_of}tokens": spelled,
            f"{head_of}token_type": kinds,
            f"{head_of}eos_token_id": ids.end,
            f"{head_of}bos_token_id": ids.end,
            f"{head_of}add_bos_token": False,
        }
        self._late = f"{head_of}merges"

    @cached_property
    def _merges(self) -> list[str]:
        return recovered_merges(self._bytes)

    def __getitem__(self, key: str) -> Any:
        return self._merges if key == self._late else self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._values, self._late])

    def __len__(self) -> int:
        return len(self._values) + 1


def _alphabet() -> dict[int, str]:
    """GPT-2's character for each byte."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {
        byte: chr(256 + at) for at, byte in enumerate(hidden)
    }


_ALPHABET: Final = _alphabet()


def _spelled(token: bytes) -> str:
    return "".join(_ALPHABET[byte] for byte in token)


def recovered_merges(tokens: tuple[bytes, ...]) -> list[str]:
    """The merges of byte pairs that made tokens in this order: each joined what earlier ones made.

    A token that no two earlier ones make gives none.
    """
    ranks = {token: rank for rank, token in enumerate(tokens)}
    made = []
    for rank, token in enumerate(tokens):
        parts = [token[at : at + 1] for at in range(len(token))]
        while len(parts) > 2:
            pairs = [ranks.get(parts[at] + parts[at + 1], rank) for at in range(len(parts) - 1)]
            lowest = min(pairs)
            if lowest >= rank:
                break
            at = pairs.index(lowest)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        if len(parts) == 2:
            made.append(" ".join(map(_spelled, parts)))
    return made


def _number(source: WeightSource, name: str) -> int:
    if name not in source or source.info(name).shape not in ((), (1,)):
        raise ModelError(f"{source.where(name)}: expected a number, found none")
    found = int(source.take(name).item())
    if not 0 <= found < _MOST_HEADS:
        raise ModelError(f"{source.where(name)}: expected a small number, found {found}")
    return found


def _shape(source: WeightSource, name: str, axes: int) -> tuple[int, ...]:
    shape = tuple(source.info(name).shape) if name in source else ()
    if len(shape) != axes or 0 in shape:
        raise ModelError(f"{source.where(name)}: expected a tensor of {axes} axes, found {shape}")
    return shape
