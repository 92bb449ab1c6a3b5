"""Whisper as CTranslate2 and whisper.cpp keep it: the same model as from Hugging Face's names."""

import numpy as np
import pytest

import tallow as tl
from formats.test_ct2 import ct2
from formats.test_ggml import whisper_file
from tallow.errors import ModelError
from tallow.models.families.whisper import WhisperConfig, WhisperForConditionalGeneration
from tallow.models.whisper_files import recovered_merges
from tallow.models.whisper_vocab import LANGUAGES, SpeechTokens
from tallow.text import Tokenizer

WORDS, WIDTH, BANDS = 51864, 32, 4
SIZES = {
    "vocab_size": WORDS, "num_mel_bins": BANDS, "d_model": WIDTH, "encoder_layers": 2,
    "encoder_attention_heads": 2, "encoder_ffn_dim": 4 * WIDTH, "decoder_layers": 1,
    "decoder_attention_heads": 4, "decoder_ffn_dim": 4 * WIDTH, "max_source_positions": 6,
    "max_target_positions": 8, "pad_token_id": 50256, "decoder_start_token_id": 50257,
}  # fmt: skip
CT2 = {
    "encoder_attn_layer_norm": "attention/layer_norm", "final_layer_norm": "ffn/layer_norm",
    "self_attn_layer_norm": "self_attention/layer_norm", "fc1": "ffn/linear_0",
    "fc2": "ffn/linear_1", "self_attn.out_proj": "self_attention/linear_1",
    "encoder_attn.out_proj": "attention/linear_2", "encoder_attn.q_proj": "attention/linear_0",
}  # fmt: skip
OPENAI = {
    "self_attn_layer_norm": "attn_ln", "encoder_attn_layer_norm": "cross_attn_ln",
    "final_layer_norm": "mlp_ln", "fc1": "mlp.0", "fc2": "mlp.2", "q_proj": "query",
    "k_proj": "key", "v_proj": "value", "out_proj": "out", "self_attn": "attn",
    "encoder_attn": "cross_attn", "layers": "blocks",
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    tl.manual_seed(3)
    made = WhisperForConditionalGeneration(WhisperConfig(**SIZES)).eval().requires_grad_(False)
    for _, value in made.named_parameters():
        value.copy_(tl.randn(*value.shape) * 0.3)
    return made


@pytest.fixture(scope="module")
def arrays(model):
    return {n.removeprefix("model."): p.numpy() for n, p in model.named_parameters()}


def logits(model):
    rng = np.random.default_rng(0)
    spectra = tl.tensor(rng.standard_normal((2, BANDS, 12), np.float32))
    ids = tl.tensor(rng.integers(0, WORDS, (2, 5)))
    return model(spectra, decoder_input_ids=ids).logits.numpy()


def ct2_arrays(arrays, matrix):
    made = {"decoder/num_heads": np.int16(4), "encoder/num_heads": np.int16(2)}
    made |= {"decoder/activation": np.int8(3), "decoder/pre_norm": np.int8(1)}

    def put(name, value):
        kind = name.rpartition("/")[2]
        name = name.replace("layer_norm/weight", "layer_norm/gamma")
        name = name.replace("layer_norm/bias", "layer_norm/beta")
        fits = kind == "weight" and value.ndim == 2
        made.update(matrix(name, value) if fits else {name: value})

    for name, value in arrays.items():
        side, _, rest = name.partition(".")
        stem, _, kind = rest.rpartition(".")
        if stem.startswith("layers."):
            _, number, part = stem.split(".", 2)
            at = f"{side}/layer_{number}"
            if part in CT2:
                put(f"{at}/{CT2[part]}/{kind}", value)
        elif stem == "embed_positions":
            made[f"{side}/position_encodings/encodings"] = value
        else:
            put(f"{side}/{stem.replace('embed_tokens', 'embeddings')}/{kind}", value)
    for side, count in (("encoder", 2), ("decoder", 1)):
        for number in range(count):
            for own, theirs, letters in (
                ("self_attn", "self_attention/linear_0", "qkv"),
                ("encoder_attn", "attention/linear_1", "kv"),
            ):
                at = f"{side}.layers.{number}.{own}"
                if f"{at}.q_proj.weight" not in arrays:
                    continue
                weights = [arrays[f"{at}.{x}_proj.weight"] for x in letters]
                zero = np.zeros(WIDTH, np.float32)
                biases = [arrays.get(f"{at}.{x}_proj.bias", zero) for x in letters]
                put(f"{side}/layer_{number}/{theirs}/weight", np.concatenate(weights))
                put(f"{side}/layer_{number}/{theirs}/bias", np.concatenate(biases))
    return made


def plain(name, value):
    return {name: value}


def rows(name, value):
    """Of 8 bits, as `quantize` of CTranslate2's converter makes them."""
    scales = (127 / np.abs(value).max(1)).astype(np.float32)
    return {name: np.rint(value * scales[:, None]).astype(np.int8), f"{name}_scale": scales}


def shorts(name, value):
    scale = np.float32(1023 / np.abs(value).max())
    return {name: np.rint(value * scale).astype(np.int16), f"{name}_scale": scale}


@pytest.mark.parametrize(
    ("matrix", "most"), [(plain, 1e-5), (shorts, 0.05), (rows, 0.3)], ids=["f32", "i16", "i8"]
)
def test_ctranslate2(model, arrays, tmp_path, matrix, most):
    head = ("decoder/projection/weight", "decoder/embeddings/weight")
    made = ct2_arrays(arrays, matrix)
    aliases = dict([head])
    (tmp_path / "model.bin").write_bytes(ct2(made, aliases, spec="WhisperSpec", revision=3))
    (tmp_path / "config.json").write_text('{"alignment_heads": [[0, 1]], "suppress_ids": [7]}')
    loaded = tl.models.load(tmp_path, activations="float")
    assert loaded.config_values["alignment_heads"] == [[0, 1]]
    assert loaded.config == WhisperConfig(**SIZES)
    np.testing.assert_allclose(logits(loaded), logits(model), rtol=0, atol=most * 10)
    if matrix is rows:
        assert loaded.model.encoder.layers[0].fc1.weight.dtype is tl.q8_0


@pytest.mark.parametrize("kind", ["f32", "f16", "q8_0"])
def test_whisper_cpp(model, arrays, tmp_path, kind):
    loaded = tl.models.load(ggml(arrays, tmp_path, kind), activations="float")
    assert loaded.config == WhisperConfig(**SIZES)
    most = {"f32": 1e-5, "f16": 0.05, "q8_0": 0.5}[kind]
    np.testing.assert_allclose(logits(loaded), logits(model), rtol=0, atol=most * 10)


def ggml(arrays, folder, kind, tokens=None):
    head = {
        "n_vocab": WORDS, "n_audio_ctx": 6, "n_audio_state": WIDTH, "n_audio_head": 2,
        "n_audio_layer": 2, "n_text_ctx": 8, "n_text_state": WIDTH, "n_text_head": 4,
        "n_text_layer": 1, "n_mels": BANDS, "ftype": {"f32": 0, "f16": 1, "q8_0": 2007}[kind],
    }  # fmt: skip
    made = []
    for name, value in arrays.items():
        side, _, rest = name.partition(".")
        stem, _, last = rest.rpartition(".")
        if stem == "embed_positions":
            made.append((f"{side}.positional_embedding", value))
            continue
        if stem == "embed_tokens":
            stem = "token_embedding"
        elif stem == "layer_norm":
            stem = "ln_post" if side == "encoder" else "ln"
        stem = ".".join(OPENAI.get(part, part) for part in stem.split("."))
        if "conv" in stem and last == "bias":
            value = value.reshape(-1, 1)
        if value.ndim > 1 and last == "weight" and kind == "f16":
            value = value.astype(np.float16)
        if value.ndim == 2 and last == "weight" and kind == "q8_0":
            packed = tl.tensor(value).to(tl.q8_0).view(tl.u8).numpy()
            made.append((f"{side}.{stem}.{last}", packed, 8, value.shape))
        else:
            made.append((f"{side}.{stem}.{last}", value))
    path = folder / "ggml-tiny.bin"
    path.write_bytes(
        whisper_file(made, head, bands=BANDS, tokens=[(each, None) for each in tokens or [b"!"]])
    )
    return path


PAIRS = [b"l", b"o", b"w", b"e", b"r", b" ", b"lo", b"er", b" lo", b"low", b" low", b" lower"]


def test_tokenizer_of_whisper_cpp(arrays, tmp_path):
    single = [bytes([byte]) for byte in range(256) if bytes([byte]) not in PAIRS[:6]]
    tokens = PAIRS[:6] + single + PAIRS[6:]
    loaded = tl.models.load(ggml(arrays, tmp_path, "f16", tokens))
    tokenizer = loaded.tokenizer
    assert isinstance(tokenizer, Tokenizer)
    ids = tokenizer.encode(" lower low")
    assert tokenizer.decode(ids) == " lower low"
    assert [tokenizer.token_bytes(i) for i in ids] == [b" lower", b" low"]
    found = SpeechTokens.of(WORDS, tokenizer.token_to_id)
    assert found == SpeechTokens.of(WORDS)


def test_merges_follow_from_the_order():
    assert recovered_merges((*[bytes([b]) for b in b"abcd"], b"ab", b"cd", b"abcd", b"xyz")) == [
        "a b", "c d", "ab cd",
    ]  # fmt: skip


@pytest.mark.parametrize(("size", "count"), [(51864, 99), (51865, 99), (51866, 100)])
def test_ids_by_the_size(size, count):
    ids = SpeechTokens.of(size)
    assert ids.times + 1501 == size
    assert list(ids.languages) == list(LANGUAGES)[:count]
    assert ids.multilingual == (size != 51864)
    names = ids.names()
    assert len(names) == size - ids.end
    assert SpeechTokens.of(size, {n: i for i, n in names.items()}.get) == ids


def test_settings_that_are_not_whispers(arrays, tmp_path):
    made = ct2_arrays(arrays, plain) | {"decoder/pre_norm": np.int8(0)}
    path = tmp_path / "model.bin"
    path.write_bytes(ct2(made, spec="WhisperSpec"))
    with pytest.raises(ModelError, match="decoder/pre_norm: expected 1 for Whisper, found 0"):
        tl.models.load(path)
    path.write_bytes(ct2({"a": np.zeros(3, "f4")}, spec="TransformerSpec"))
    with pytest.raises(ModelError, match="spec: expected one of WhisperSpec"):
        tl.models.load(path)
    path.write_bytes(ct2({"a": np.zeros(3, "f4")}, spec="WhisperSpec"))
    with pytest.raises(ModelError, match="conv1/weight: expected a tensor of 3 axes"):
        tl.models.load(path)
