"""Oddities of text encoders' configs and files: loaded right, or refused by name."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import tallow as tl
from models.golden_families import CASES, ROOT, Case
from tallow.errors import ConfigWarning, ContextError, ModelError
from tallow.models import build
from tallow.models.blocks.relative import bucket, by_distance, relative_shift
from tallow.models.families.jina_bert import slopes
from tallow.weights import open_weights

# A case with a head, and whose positions end where.
HEADED = {
    "albert_classification": 24,
    "bert_classification": 24,
    "deberta_classification": None,
    "deberta_v2_classification": None,
    "distilbert_classification": 24,
    "electra_classification": 24,
    "eurobert_classification": 24,
    "jina_bert_classification": None,
    "jina_embeddings_v3_classification": 24,
    "modernbert_classification": 24,
    "mpnet_classification": 22,
    "new_classification": 24,
    "nomic_bert_classification": 24,
    "roberta_classification": 22,
    "xlm_roberta_classification": 22,
}


def with_changes(name, config=None, rename=None, drop=(), add=None, **options):
    """The model of a golden with other keys in its config (None: absent) and other names."""
    source = open_weights(ROOT / name)
    changes = config or {}
    values = {k: v for k, v in {**source.config, **changes}.items() if v != "absent"}
    tensors = {n: source.take(n) for n in source.names() if n not in drop}
    tensors = {(rename or (lambda n: n))(n): t for n, t in tensors.items()} | (add or {})
    changed = open_weights(tensors)
    changed.config, changed.path = values, source.path
    return build(changed, **options)


def same(name, model):
    case = Case(name)
    case.check(case.run(model))


@pytest.mark.parametrize("name", HEADED)
def test_the_model_without_a_head_comes_from_any_heads_file(name):
    case = Case(name)
    base, head = case.load(task="embedding"), case.load()
    assert type(base) is head.base_class
    found = base(**case.inputs).last_hidden_state
    want = head.encode(*ordered(base, case.inputs), output_hidden_states=False).last_hidden_state
    assert np.array_equal(found.numpy(), want.numpy())


def ordered(base, inputs):
    names = base.forward.__code__.co_varnames[1 : base.forward.__code__.co_argcount]
    return [inputs.get(name) for name in names]


@pytest.mark.parametrize("name", HEADED)
def test_a_file_without_the_base_models_prefix(name):
    prefix = Case(name).load().base_model_prefix + "."
    same(name, with_changes(name, rename=lambda n: n.removeprefix(prefix)))


@pytest.mark.parametrize("name", HEADED)
def test_more_inputs_than_positions(name):
    most = HEADED[name]
    model = Case(name).load()
    length = most or 40
    ids = tl.full((1, length), 5, dtype=tl.i64)
    assert model(ids).logits.shape[0] == 1
    if most is not None:
        with pytest.raises(ContextError, match=rf"at most {most} positions, got {most + 1}"):
            model(tl.full((1, most + 1), 5, dtype=tl.i64))


@pytest.mark.parametrize(
    "name", [n for n in HEADED if n.split("_")[0] not in ("eurobert", "modernbert", "nomic")]
)
def test_buffers_that_old_files_carry(name):
    prefix = Case(name).load().base_model_prefix
    ids = tl.arange(24).reshape(1, 24)
    same(name, with_changes(name, add={f"{prefix}.embeddings.position_ids": ids}))


@pytest.mark.parametrize("name", ["bert_classification", "electra_tokens", "roberta_answers"])
def test_norms_under_their_old_names(name):
    def old(key):
        if "LayerNorm" not in key:
            return key
        return key.replace(".weight", ".gamma").replace(".bias", ".beta")

    same(name, with_changes(name, rename=old))


@pytest.mark.parametrize(("name", "prefix"), [("bert", ""), ("mpnet", ""), ("roberta", "")])
def test_a_file_without_a_pooler(name, prefix):
    drop = (f"{prefix}pooler.dense.weight", f"{prefix}pooler.dense.bias")
    model = with_changes(name, drop=drop)
    case = Case(name)
    found = model(**case.inputs)
    assert found.pooler_output is None
    assert "pooler_output" not in found
    np.testing.assert_allclose(
        found.last_hidden_state.numpy(), case.expected["last_hidden_state"], atol=1e-4
    )


ACCEPTED = [
    ("bert", {"attn_implementation": "sdpa", "_attn_implementation_autoset": True}),
    ("bert", {"pad_token_id": None, "gradient_checkpointing": False}),
    ("bert_tokens", {"id2label": "absent", "num_labels": 5, "label2id": None}),
    ("bert_classification", {"problem_type": "single_label_classification"}),
    ("distilbert", {"sinusoidal_pos_embds": True, "tie_weights_": True}),
    ("distilbert", {"dim": "absent", "hidden_size": 32}),
    ("albert", {"down_scale_factor": 1, "gap_size": 0, "net_structure_type": 0}),
    ("deberta", {"pos_att_type": ["c2p", "p2c"], "max_relative_positions": 24}),
    ("deberta_v2", {"pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm|none"}),
    ("deberta_v2", {"attention_head_size": 8, "pooler_hidden_size": 32, "z_steps": 0}),
    ("modernbert", {"reference_compile": True, "layer_norm_eps": 1e-5}),
    (
        "modernbert",
        {
            "rope_parameters": "absent",
            "layer_types": "absent",
            "global_attn_every_n_layers": 2,
            "global_rope_theta": 160000.0,
            "local_rope_theta": 10000.0,
        },
    ),
    (
        "nomic_bert",
        {
            **dict.fromkeys(("hidden_size", "num_hidden_layers", "num_attention_heads"), "absent"),
            **dict.fromkeys(("intermediate_size", "hidden_act", "rope_parameters"), "absent"),
            "n_embd": 32,
            "n_layer": 2,
            "n_head": 4,
            "n_inner": 64,
            "n_positions": 24,
            "activation_function": "swiglu",
            "rotary_emb_base": 30.0,
            "rotary_emb_fraction": 1,
            "max_position_embeddings": "absent",
            "layer_norm_epsilon": 1e-12,
            "prenorm": False,
            "qkv_proj_bias": False,
            "rotary_scaling_factor": None,
            "use_flash_attn": True,
            "layer_norm_eps": "absent",
            "head_dim": "absent",
        },
    ),
    ("new", {"rope_parameters": "absent", "rope_scaling": {"type": "ntk", "factor": 3.0}}),
    ("new", {"unpad_inputs": True, "use_memory_efficient_attention": True, "pack_qkv": True}),
    ("jina_bert", {"emb_pooler": "mean", "model_max_length": 8192}),
]


@pytest.mark.parametrize(("name", "config"), ACCEPTED)
def test_configs_that_mean_the_same(name, config):
    same(name, with_changes(name, config))


REFUSED = [
    ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type"),
    ("bert", {"position_embedding_type": "alibi"}, "position_embedding_type"),
    ("bert", {"is_decoder": True}, "is_decoder"),
    ("bert", {"hidden_act": "gelu_of_mine"}, "hidden_act"),
    ("bert", {"num_attention_heads": 5}, "num_attention_heads"),
    ("bert", {"pruned_heads": {"0": [1]}}, "pruned_heads"),
    ("bert_tokens", {"num_labels": 4}, "num_labels"),
    ("roberta", {"pad_token_id": None}, "pad_token_id"),
    ("roberta", {"add_cross_attention": True}, "add_cross_attention"),
    ("distilbert", {"activation": 7}, "activation"),
    ("mpnet", {"relative_attention_num_buckets": 16}, "relative_attention_num_buckets"),
    ("electra_choices", {"summary_type": "attn"}, "summary_type"),
    ("electra_choices", {"summary_activation": "none"}, "summary_activation"),
    ("deberta", {"pos_att_type": ["p2p"]}, "pos_att_type"),
    ("deberta", {"talking_head": True}, "talking_head"),
    ("deberta", {"pooler_hidden_size": 64}, "pooler_hidden_size"),
    ("deberta_v2", {"position_buckets": 7}, "position_buckets"),
    ("deberta_v2", {"attention_head_size": 16}, "attention_head_size"),
    ("deberta_v2_conv", {"conv_kernel_size": 4}, "conv_kernel_size"),
    ("modernbert", {"layer_types": ["full_attention"]}, "layer_types"),
    ("modernbert", {"layer_types": ["full", "full", "full"]}, "layer_types"),
    ("modernbert", {"classifier_pooling": "max"}, "classifier_pooling"),
    ("modernbert", {"rope_parameters": {"full_attention": 3}}, "rope_parameters"),
    ("modernbert", {"num_attention_heads": 32}, "num_attention_heads"),
    ("eurobert", {"num_key_value_heads": 3}, "num_key_value_heads"),
    ("eurobert", {"classifier_pooling": "max"}, "classifier_pooling"),
    ("nomic_bert", {"activation_function": "relu"}, "activation_function"),
    ("nomic_bert", {"rotary_emb_fraction": 0.5}, "rotary_emb_fraction"),
    ("nomic_bert", {"rotary_scaling_factor": 2.0}, "rotary_scaling_factor"),
    ("nomic_bert", {"prenorm": True}, "prenorm"),
    ("nomic_bert", {"num_experts": 8}, "num_experts"),
    ("new", {"logn_attention_scale": True}, "logn_attention_scale"),
    ("new", {"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2}}, "type"),
    ("new", {"rope_theta": 0.0}, "rope_theta"),
    ("jina_bert", {"feed_forward_type": "swiglu"}, "feed_forward_type"),
    ("jina_bert_post_norm", {"feed_forward_type": "original"}, "feed_forward_type"),
]


@pytest.mark.parametrize(("name", "config", "key"), REFUSED)
def test_configs_that_cannot_be_done_are_refused_by_name(name, config, key):
    with pytest.raises(ModelError, match=rf"config\.json.*{key}: expected"):
        with_changes(name, config)


@pytest.mark.parametrize("name", ["bert", "albert", "modernbert", "deberta_v2", "new"])
def test_a_key_that_the_family_does_not_know_is_told(name):
    with pytest.warns(ConfigWarning, match="does not know are not used: of_mine"):
        with_changes(name, {"of_mine": 3})


def test_a_borrowed_model_type():
    """Jina's checkpoints say that they are BERT's; their architectures say otherwise."""
    assert json.loads((ROOT / "jina_bert" / "config.json").read_text())["model_type"] == "bert"
    assert type(Case("jina_bert").load()).__module__.endswith("jina_bert")
    assert type(Case("jina_bert_classification").load(task="embedding")).__name__ == "JinaBertModel"
    with pytest.raises(ModelError, match=r"architectures: expected one of BertModel"):
        with_changes("bert", {"architectures": ["ArchitectureOfMine"]})


def test_gte_with_projections_apart():
    source = open_weights(ROOT / "new_classification")
    parts, packed = {}, []
    for name in source.names():
        if "qkv_proj" in name:
            packed.append(name)
            for letter, part in zip("qkv", source.take(name).chunk(3), strict=True):
                parts[name.replace("qkv_proj", f"{letter}_proj")] = part.contiguous()
    assert len(packed) == 4
    same("new_classification", with_changes("new_classification", drop=packed, add=parts))


def test_nomic_bert_under_the_authors_prefix():
    name = "nomic_bert_masked_lm"
    same(name, with_changes(name, rename=lambda n: n.replace("nomic_bert.", "bert.")))
    base = with_changes(name, rename=lambda n: n.replace("nomic_bert.", "bert."), task="embedding")
    assert base(**Case(name).inputs).last_hidden_state.shape == (2, 12, 32)


def test_what_deberta_v3_files_have_beside_the_encoder():
    more = {
        "mask_predictions.dense.weight": tl.zeros(32, 32),
        "lm_predictions.lm_head.bias": tl.zeros(96),
    }
    name = "deberta_v2_tokens"
    model = with_changes(name, {"architectures": None}, add=more)
    assert type(model).__name__ == "DebertaV2Model"


@pytest.mark.parametrize("n", [1, 2, 5])
def test_views_by_distance(n):
    table = tl.arange(2 * n - 1).reshape(1, 2 * n - 1)
    places = np.arange(n)
    away = places[None, :] - places[:, None]
    assert by_distance(table, n).numpy().tolist() == [(away + n - 1).tolist()]
    rows = np.arange(n * (2 * n - 1)).reshape(n, 2 * n - 1)
    want = np.take_along_axis(rows, away + n - 1, 1)
    assert relative_shift(tl.tensor(rows)).numpy().tolist() == want.tolist()


def test_buckets_are_t5s():
    """From transformers' `MPNetEncoder.relative_position_bucket`."""
    places = [-200, -128, -64, -17, -16, -9, -8, -7, -1, 0, 1, 7, 8, 12, 32, 127, 128]
    want = [15, 15, 14, 10, 10, 8, 8, 7, 1, 0, 17, 23, 24, 25, 28, 31, 31]
    assert [bucket(place, 32, 128) for place in places] == want


def test_slopes_are_alibis():
    """ALiBi's own: 1/2 … 1/256 for 8 heads; others take every other one of twice as many."""
    assert slopes(8) == [2.0**-i for i in range(1, 9)]
    assert slopes(12)[8:] == [2.0 ** -(i + 0.5) for i in range(4)]


def test_electras_discriminator_learns_from_kept_positions():
    case = Case("electra_training")
    model = case.load()
    labels = case.inputs["input_ids"] % 2
    found = model(**case.inputs, labels=labels).loss.item()
    x, y = case.expected["logits"], labels.numpy()
    every = np.logaddexp(0, x) - x * y
    kept = case.inputs["attention_mask"].numpy() == 1
    assert found == pytest.approx(every[kept].mean(), rel=1e-4)
    inputs = {k: v for k, v in case.inputs.items() if k != "attention_mask"}
    whole = model(**inputs, labels=labels)
    x = whole.logits.numpy()
    assert whole.loss.item() == pytest.approx((np.logaddexp(0, x) - x * y).mean(), rel=1e-4)


def test_debertas_labels_may_be_soft_or_absent():
    case = Case("deberta_classification")
    model = case.load()
    x = case.expected["logits"].astype(np.float64)
    logs = x - np.log(np.exp(x).sum(-1, keepdims=True))
    soft = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]], dtype=np.float32)
    found = model(**case.inputs, labels=tl.tensor(soft)).loss.item()
    assert found == pytest.approx(-(logs * soft).sum(-1).mean(), rel=1e-4)
    found = model(**case.inputs, labels=tl.tensor([-1, 2])).loss.item()
    assert found == pytest.approx(-logs[1, 2], rel=1e-4)


def test_choices_learn_over_the_choices():
    case = Case("bert_choices")
    x = case.expected["logits"].astype(np.float64)
    found = case.load()(**case.inputs, labels=tl.tensor([1, 0])).loss.item()
    logs = x - np.log(np.exp(x).sum(-1, keepdims=True))
    assert found == pytest.approx(-(logs[0, 1] + logs[1, 0]) / 2, rel=1e-4)


def test_sentence_transformers_folders_load(tmp_path):
    """Their config.json stands beside modules.json; what else is there is no weight."""
    folder = tmp_path / "model"
    shutil.copytree(ROOT / "mpnet", folder)
    (folder / "golden.safetensors").unlink()
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (folder / "modules.json").write_text("[]")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 20}')
    same("mpnet", tl.models.load(folder, task="embedding"))


def test_bge_m3s_two_files_beside_the_weights(tmp_path):
    """Its layers as FlagEmbedding applies them: unit vectors, and weights above 0 of tokens."""
    folder = tmp_path / "model"
    shutil.copytree(ROOT / "xlm_roberta", folder)
    (folder / "golden.safetensors").unlink()
    rng = np.random.default_rng(3)
    w, b, v, c = (rng.normal(size=shape).astype(np.float32) for shape in ((32, 32), 32, (1, 32), 1))
    plain = tl.models.load(folder, task="embedding")
    tl.save({"weight": tl.tensor(w), "bias": tl.tensor(b)}, folder / "colbert_linear.pt")
    assert type(tl.models.load(folder)) is type(plain), "one of two files is none"
    tl.save({"weight": tl.tensor(v), "bias": tl.tensor(c)}, folder / "sparse_linear.pt")
    case = Case("xlm_roberta")
    model = tl.models.load(folder, task="embedding")
    same("xlm_roberta", model)
    found = model(**case.inputs)
    last = case.expected["last_hidden_state"].astype(np.float64)

    def unit(x):
        return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)

    kept = case.inputs["attention_mask"].numpy()[:, 1:, None]
    for name, want in [
        ("dense_vecs", unit(last[:, 0])),
        ("sparse_vecs", np.maximum(last @ v.T + c, 0)),
        ("colbert_vecs", unit((last[:, 1:] @ w.T + b) * kept)),
    ]:
        np.testing.assert_allclose(found[name].numpy(), want, rtol=1e-3, atol=1e-4, err_msg=name)
    (folder / "colbert_linear.pt").unlink()
    tl.save({"weight": tl.tensor(w[:8]), "bias": tl.tensor(b[:8])}, folder / "colbert_linear.pt")
    with pytest.raises(ModelError, match=r"colbert_linear\.pt: weight: expected .*\(32, 32\)"):
        tl.models.load(folder)


def test_every_encoder_has_a_golden_with_a_head():
    assert HEADED.keys() <= set(CASES)
