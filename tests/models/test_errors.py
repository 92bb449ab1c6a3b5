"""Configs and files that do not fit give one clear error, before anything large is made."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields

import ml_dtypes  # noqa: F401  gives numpy bfloat16
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import tallow as tl
from models.gguf_files import rewritten
from tallow.errors import ArgumentError, ConfigWarning, FormatError, ModelError, TallowError
from tallow.models import FAMILIES, DecoderConfig, build, load
from tallow.models.blocks import RopeScaling
from tallow.models.fields import Fields
from tallow.weights import open_weights


@pytest.fixture
def folder(golden, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(golden("llama").folder, copy, ignore=shutil.ignore_patterns("*.gguf", "gold*"))
    return copy


def change(folder, **values):
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **values}
    config = {name: value for name, value in config.items() if value != "absent"}
    path.write_text(json.dumps(config))


def change_tensors(folder, edit):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


NAN = float("nan")
BAD = {
    "no layers": ({"num_hidden_layers": 0}, "num_hidden_layers: expected an integer from 1"),
    "too many layers": ({"num_hidden_layers": 10**9}, "num_hidden_layers: expected an integer"),
    "more layers than tensors": ({"num_hidden_layers": 4000}, "num_hidden_layers: expected no"),
    "zero heads": ({"num_attention_heads": 0}, "num_attention_heads: expected an integer from 1"),
    "heads not a number": ({"num_attention_heads": "4"}, "found '4'"),
    "heads a flag": ({"num_attention_heads": True}, "found True"),
    "heads absent": ({"num_attention_heads": "absent"}, "num_attention_heads.*found nothing"),
    "zero kv heads": ({"num_key_value_heads": 0}, "num_key_value_heads: expected an integer"),
    "kv heads": ({"num_key_value_heads": 3}, "num_key_value_heads: expected a divisor of the 4"),
    "huge hidden": ({"hidden_size": 2**62}, "hidden_size: expected an integer"),
    "negative hidden": ({"hidden_size": -64}, "hidden_size"),
    "uneven hidden": ({"hidden_size": 65, "head_dim": None}, "hidden_size: expected a multiple"),
    "odd head": ({"head_dim": 15}, "head_dim: expected an even number, found 15"),
    "wide": ({"intermediate_size": 2**30}, r"gate_proj.weight: expected .*\(1073741824, 64\)"),
    "big vocabulary": ({"vocab_size": 2**31 - 1}, "embed_tokens.weight: expected"),
    "eps": ({"rms_norm_eps": 0}, "rms_norm_eps: expected a number above 0"),
    "nan": ({"rms_norm_eps": NAN}, "rms_norm_eps: expected a number above 0, found nan"),
    "theta": ({"rope_parameters": {"rope_theta": -1}}, "rope_theta: expected a number above 1"),
    "rope": ({"rope_parameters": [1]}, "rope_parameters: expected an object"),
    "dynamic": (
        {"rope_parameters": None, "rope_scaling": {"type": "dynamic", "factor": 0.5}},
        "factor: expected a number of at least 1, found 0.5",
    ),
    "unknown scaling": (
        {"rope_parameters": {"rope_type": "ntk", "factor": 2.0}},
        "rope_type: expected default, dynamic, linear, .*, found 'ntk'",
    ),
    "longrope": (
        {"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0], "long_factor": []}},
        "short_factor: expected 8 numbers above 0, one for each frequency",
    ),
    "scaling without factor": (
        {"rope_parameters": {"rope_type": "linear"}},
        "factor: expected a number above 0, found nothing",
    ),
    "partial rotation": (
        {"partial_rotary_factor": 0.5},
        "partial_rotary_factor: expected 1 .*, found 0.5",
    ),
    "partial rotation of the rope": (
        {"rope_parameters": {"partial_rotary_factor": 0.5, "rope_theta": 10000.0}},
        "rope_parameters: partial_rotary_factor: expected 1",
    ),
    "activation": ({"hidden_act": "gelo"}, "hidden_act: expected one of .*, found 'gelo'"),
    "quantised": ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
    "context": ({"max_position_embeddings": 0}, "max_position_embeddings"),
    "tie": ({"tie_word_embeddings": "yes"}, "tie_word_embeddings: expected true or false"),
    "family": ({"model_type": "gpt9"}, r"known families \(.*llama, .*mistral, .*found 'gpt9'"),
    "no family": ({"model_type": ["llama"]}, "model_type: expected one of"),
}


@pytest.mark.parametrize("name", BAD)
def test_hostile_config(name, folder):
    values, message = BAD[name]
    change(folder, **values)
    with pytest.raises(ModelError, match=message) as caught:
        build(open_weights(folder))
    assert str(folder) in str(caught.value)
    assert len(str(caught.value)) < 4000


def test_the_older_scaling_goes_before_the_newer(folder, golden, run):
    """As in transformers, which takes its theta from beside it."""
    rope = {"rope_type": "default", "rope_theta": 7.0}
    change(folder, rope_parameters=rope, rope_scaling={"type": "linear", "factor": 3.0})
    expected = golden("llama").logits("variant.linear")
    np.testing.assert_allclose(run(load(folder), golden("llama").ids), expected, atol=1e-3)


def test_yarn_by_the_ratio_of_its_contexts(tmp_path, golden, run):
    """`factor` may be absent or null, as in transformers."""
    shutil.copytree(golden("qwen3").folder, tmp_path / "model")
    config = json.loads((golden("qwen3").folder / "config.yarn.json").read_text())
    assert config["rope_parameters"].pop("factor") == config["max_position_embeddings"] / 16
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    logits = run(load(tmp_path / "model"), golden("qwen3").ids)
    np.testing.assert_allclose(logits, golden("qwen3").logits("variant.yarn"), atol=1e-3)


DEFAULTS = {  # of the config classes of transformers 5.24
    "llama": (2048, 4),
    "mistral": (131072, 8),
    "qwen2": (32768, 32),
    "qwen3": (32768, 32),
}


@pytest.mark.parametrize("family", DEFAULTS)
def test_defaults_are_those_of_the_family(family):
    sizes = {"hidden_size": 128, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 9}
    heads = 4 if family == "llama" else 32
    config = FAMILIES[family].config
    found = config.read(Fields({**sizes, "num_attention_heads": heads}, "x"))
    assert (found.context, found.num_key_value_heads) == DEFAULTS[family]
    assert (found.rope_theta, found.rms_norm_eps, found.tie_word_embeddings) == (1e4, 1e-6, False)
    given = {**sizes, "num_attention_heads": heads, "num_key_value_heads": None}
    assert config.read(Fields(given, "x")).num_key_value_heads == heads


# Keys that Hugging Face's configs of all these families know, of those that are fields of ours.
SHARED_KEYS = {
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "rope_theta",
    "rope_scaling", "tie_word_embeddings", "hidden_act",
}  # fmt: skip
OWN_KEYS = {"llama": {"mlp_bias"}, "mistral": set(), "qwen2": set(), "qwen3": set()}
GGUF_KEYS = {
    "block_count", "embedding_length", "expert_count", "rope_dimension", "value_dim", "key_length",
    "rope.scale_linear", "llama.block_count", "general.architecture",
}  # fmt: skip


@pytest.mark.parametrize("value", [8, True, "nonsense"])
@pytest.mark.parametrize("family", OWN_KEYS)
def test_names_of_ours_and_of_gguf_mean_nothing_in_a_config(family, value, golden, tmp_path, run):
    folder = tmp_path / "model"
    expected = golden(family)
    shutil.copytree(expected.folder, folder, ignore=shutil.ignore_patterns("*.gguf", "gold*"))
    ours = {field.name for field in (*fields(DecoderConfig), *fields(RopeScaling))}
    foreign = (ours | GGUF_KEYS | {"attention_bias"}) - SHARED_KEYS - OWN_KEYS[family]
    foreign -= {"attention_bias"} if family in ("llama", "qwen3") else set()
    assert {"rope_interleaved", "qkv_bias", "output_bias", "sliding_windows", "kind"} <= foreign
    change(folder, **dict.fromkeys(foreign, value))
    with pytest.warns(ConfigWarning, match="not used: .*beta_fast"):
        model = build(open_weights(folder))
    logits = run(model, expected.ids)
    np.testing.assert_allclose(logits, expected.logits("hf"), rtol=1e-4, atol=1e-4)


def test_names_of_a_config_mean_nothing_in_gguf(golden, tmp_path, run):
    config = json.loads((golden("llama").folder / "config.json").read_text())
    names = {*config, "rope_scaling", "rope_interleaved", "qkv_bias"}
    names.remove("vocab_size")  # a key of both formats
    path = rewritten(golden, tmp_path, changes={f"llama.{name}": 3 for name in names})
    logits = run(build(open_weights(path), activations="float"), golden("llama").ids)
    np.testing.assert_allclose(logits, golden("llama").logits("q8_0"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "[" * 100_000, "\xff"])
def test_config_that_is_no_object(text, folder):
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(FormatError, match=r"config\.json"):
        build(open_weights(folder))


def test_all_mismatches_in_one_error(folder):
    def edit(tensors):
        del tensors["model.layers.0.mlp.up_proj.weight"]
        tensors["model.norm.weight"] = np.ones(63, np.float32)
        tensors["model.layers.1.self_attn.q_proj.weight"] = np.ones((64, 64), np.int32)
        tensors["model.layers.1.extra.weight"] = np.ones(2, np.float32)
        tensors["model.layers.1.self_attn.rotary_emb.inv_freq"] = np.ones(8, np.float32)

    change_tensors(folder, edit)
    with pytest.raises(ModelError) as caught:
        build(open_weights(folder))
    text = str(caught.value)
    assert "4 tensors do not fit Llama" in text
    assert "model.layers.0.mlp.up_proj.weight: expected" in text
    assert "(64, 64), found nothing" in text
    assert (
        "model.norm.weight: expected a float tensor of shape (64,), found f32 of shape (63,)"
        in text
    )
    assert "found i32 of shape (64, 64)" in text
    assert "model.layers.1.extra.weight: expected no such tensor" in text
    assert "inv_freq" not in text


def test_missing_tensor_of_gguf_has_its_own_name(golden, tmp_path):
    path = rewritten(golden, tmp_path, without=("blk.1.ffn_up.weight",))
    with pytest.raises(ModelError, match=r"blk\.1\.ffn_up\.weight: expected a float or block"):
        build(open_weights(path))


def test_unknown_architecture(golden, tmp_path):
    path = rewritten(golden, tmp_path, architecture="gpt9")
    with pytest.raises(ModelError, match=r"general\.architecture: .*llama.*found 'gpt9'"):
        build(open_weights(path))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("block_count", 0, r"llama\.block_count: expected an integer from 1"),
        ("block_count", 2**32 - 1, r"llama\.block_count"),
        ("attention.head_count", 0, r"llama\.attention\.head_count: expected"),
        ("attention.head_count_kv", 3, r"llama\.attention\.head_count_kv: expected a divisor"),
        ("attention.value_length", 32, r"llama\.attention\.value_length: expected 16"),
        ("rope.dimension_count", 8, r"llama\.rope\.dimension_count: expected the head size 16"),
        ("expert_count", 8, r"tensors do not fit Mixtral:"),
        ("context_length", 0, r"llama\.context_length"),
    ],
)
def test_hostile_metadata(key, value, message, golden, tmp_path):
    path = rewritten(golden, tmp_path, changes={f"llama.{key}": value})
    with pytest.raises(ModelError, match=message):
        build(open_weights(path))


PER_LAYER = {
    "attention.head_count": 4,
    "attention.head_count_kv": 2,
    "feed_forward_length": 64,
}


def test_sizes_of_each_layer_that_are_equal(golden, tmp_path, run):
    """llama.cpp's converter writes arrays for models whose layers may differ."""
    changes = {f"llama.{key}": [value] * 2 for key, value in PER_LAYER.items()}
    path = rewritten(golden, tmp_path, changes=changes)
    logits = run(build(open_weights(path), activations="float"), golden("llama").ids)
    np.testing.assert_allclose(logits, golden("llama").logits("q8_0"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("key", PER_LAYER)
def test_sizes_of_each_layer_that_differ(key, golden, tmp_path):
    size = PER_LAYER[key]
    for values in ([size, size // 2], [size], [size] * 3, [0, 0], [0.5, 0.5], ["a", "a"]):
        path = rewritten(golden, tmp_path, changes={f"llama.{key}": values})
        with pytest.raises(ModelError, match=rf"llama\.{key}: expected an integer"):
            build(open_weights(path))


@pytest.mark.parametrize("values", [[1.0] * 7, [0.0] * 8, [float("nan")] * 8])
def test_hostile_rope_factors(values, golden, tmp_path):
    path = rewritten(golden, tmp_path, add={"rope_freqs.weight": np.array(values, np.float32)})
    with pytest.raises(ModelError, match=r"rope_freqs\.weight: expected"):
        build(open_weights(path))


def test_weights_without_a_config(folder):
    with pytest.raises(ModelError, match="found weights without a config"):
        build(open_weights(folder / "model.safetensors"))


def test_options(golden):
    path = golden("llama").path("q8_0")
    for options in (
        {"device": "tpu"},
        {"activations": "slow"},
        {"dtype": "iq2_xxs"},
        {"dtype": "i8"},
    ):
        with pytest.raises(ArgumentError):
            load(path, **options)
    with pytest.raises(TallowError):
        load(path, dtype="f99")
    with pytest.raises(TallowError):
        load("/no/such/file.gguf")


def test_dtype_by_name(golden):
    model = load(golden("llama").path("f16"), dtype="f32")
    assert {tensor.dtype for tensor in model.parameters()} == {tl.f32}


def test_a_head_in_the_file_of_a_tied_model_counts(golden, run, folder):
    """As in transformers 5 (`tie_weights`): tied only where head and embedding are equal."""
    change(folder, tie_word_embeddings=True)
    ids = golden("llama").ids
    table = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    head = {"lm_head.weight": table * 2}
    change_tensors(folder, lambda tensors: tensors.update(head))
    other = run(load(folder), ids)
    change_tensors(folder, lambda tensors: tensors.update({"lm_head.weight": table}))
    model = load(folder)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    np.testing.assert_allclose(other, 2 * run(model, ids), rtol=1e-3)
    change_tensors(folder, lambda tensors: tensors.pop("model.embed_tokens.weight"))
    np.testing.assert_array_equal(run(load(folder), ids), run(model, ids))
    change_tensors(
        folder, lambda tensors: tensors.update(head | {"model.embed_tokens.weight": table[1:]})
    )
    with pytest.raises(ModelError, match=r"embed_tokens.weight: expected"):
        load(folder)
