"""Which class a checkpoint becomes, and what is said of configs and tensors that do not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tallow as tl
from models.golden_families import ROOT, Case
from tallow.errors import ArgumentError, ConfigWarning, FormatError, ModelError
from tallow.models import FAMILIES
from tallow.models.outputs import LogitsOutput


@pytest.fixture
def copied(tmp_path):
    """A copy of a golden's folder with another config and other tensors."""

    def make(case, change=None, **values):
        folder = tmp_path / case
        shutil.copytree(ROOT / case, folder)
        path = folder / "config.json"
        config = {**json.loads(path.read_text()), **values}
        path.write_text(json.dumps({k: v for k, v in config.items() if v != "absent"}))
        if change is not None:
            file = folder / "model.safetensors"
            tensors = change(dict(tl.load(file)))
            tl.safetensors.save_file({k: v.clone() for k, v in tensors.items()}, file)
        return folder

    return make


@pytest.mark.parametrize(("older", "newer"), [("fast", "int8"), ("exact", "float")])
def test_older_names_of_activations_warn_once(older, newer):
    path = Path(__file__).parents[1] / "golden" / "models" / "llama" / "llama.q8_0.gguf"
    ids = tl.tensor([[1, 2, 3]])
    expected = tl.models.load(path, activations=newer)(ids).logits
    for load in (
        lambda: tl.models.load(path, activations=older),
        lambda: tl.models.loading.build(tl.weights.open_weights(path), activations=older),
        lambda: tl.LLM(path, activations=older).model,
    ):
        with pytest.warns(DeprecationWarning, match=f"'{older}' is now called '{newer}'") as told:
            model = load()
        assert [each.filename for each in told] == [__file__]
        assert (model(ids).logits == expected).all()
    with pytest.raises(ArgumentError, match=r"activations of \('int8', 'float'\), got 'loose'"):
        tl.models.load(path, activations="loose")


def test_importing_the_table_imports_no_family():
    import subprocess
    import sys

    code = (
        "import sys; from tallow.models.table import FAMILIES; "
        "print([n for n in sys.modules if n.startswith('tallow.models.families.')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_row_of_the_table_has_its_classes():
    for row in FAMILIES.values():
        for architecture in row.classes:
            model = row.of(architecture)
            assert issubclass(model, tl.nn.Module)
            assert model.config_class.read


def test_the_class_is_the_one_it_was_saved_for():
    assert type(tl.models.load(ROOT / "bert")).__name__ == "BertModel"
    assert type(tl.models.load(ROOT / "bert_tokens")).__name__ == "BertForTokenClassification"


def test_another_task_takes_what_it_needs():
    case = Case("bert_classification")
    model = tl.models.load(case.folder, task="embedding")
    assert type(model).__name__ == "BertModel"
    inner = case.load().bert
    given = {key: case.inputs[key] for key in ("input_ids", "attention_mask", "token_type_ids")}
    assert np.array_equal(
        model(**given).last_hidden_state.numpy(), inner(**given).last_hidden_state.numpy()
    )
    with pytest.raises(ModelError, match=r"qa_outputs\.weight: expected .* found nothing"):
        tl.models.load(case.folder, task="question-answering")
    with pytest.raises(ModelError, match=r"task: expected one of BertModel, .*'object-detection'"):
        tl.models.load(case.folder, task="object-detection")
    with pytest.raises(ModelError, match=r"near: .*token-classification"):
        tl.models.load(case.folder, task="tokens-classification")


def test_a_head_takes_a_base_without_its_prefix(copied):
    """Files of the base model alone have no prefix; a head's own tensors never have one."""

    def bare(tensors):
        return {name.removeprefix("bert."): value for name, value in tensors.items()}

    case = Case("bert_classification")
    case.check(case.run(tl.models.load(copied("bert_classification", bare))))


def test_a_base_takes_a_file_with_the_prefix(copied):
    def prefixed(tensors):
        return {f"bert.{name}": value for name, value in tensors.items()}

    case = Case("bert")
    case.check(case.run(tl.models.load(copied("bert", prefixed))))


def test_a_file_without_a_pooler(copied):
    def without(tensors):
        return {name: value for name, value in tensors.items() if "pooler" not in name}

    case = Case("bert")
    found = tl.models.load(copied("bert", without))(**case.inputs)
    assert found.pooler_output is None
    np.testing.assert_allclose(
        found.last_hidden_state.numpy(), case.expected["last_hidden_state"], atol=1e-4
    )


def test_older_names_of_norms(copied):
    def older(tensors):
        names = {"weight": "gamma", "bias": "beta"}
        return {
            f"{stem}.{names[last]}" if "LayerNorm" in stem else f"{stem}.{last}": value
            for name, value in tensors.items()
            for stem, _, last in [name.rpartition(".")]
        }

    case = Case("bert")
    case.check(case.run(tl.models.load(copied("bert", older))))


def test_unknown_families_and_architectures(copied):
    with pytest.raises(ModelError, match=r"model_type: expected .*near: .*bert.*found 'bertt'"):
        tl.models.load(copied("bert", model_type="bertt"))
    folder = copied("bert_tokens", architectures=["BertForSomething"])
    with pytest.raises(ModelError, match=r"architectures: .*BertForSomething.*task='embedding'"):
        tl.models.load(folder)
    assert type(tl.models.load(folder, task="embedding")).__name__ == "BertModel"


MIXED = {"rope_type": "ntk", "factor": 2.0, "mixed_b": 2**40, "rope_theta": 1e4}
CONTRADICTIONS = [
    ("bert", "layer_norm_eps", 10**400),
    ("resnet", "hidden_sizes", [16, 32, 64]),
    ("resnet", "depths", None),  # those of ResNet-50, of four stages
    ("regnet", "depths", [1]),
    ("rt_detr_resnet", "depths", [1]),
    ("new_mixed", "rope_parameters", MIXED),
]


@pytest.mark.parametrize(("case", "key", "value"), CONTRADICTIONS, ids=str)
def test_values_that_cannot_be(case, key, value, copied):
    with pytest.raises(ModelError, match=r"config\.json: \w+: expected "):
        tl.models.load(copied(case, **{key: value}))


@pytest.mark.parametrize("odd", [[7], [["BertModel"]], {"BertModel": 1}])
def test_architectures_that_are_no_names(odd, copied):
    with pytest.raises(ModelError, match=r"architectures: expected one of BertModel"):
        tl.models.load(copied("bert", architectures=odd))


def test_without_architectures_it_is_the_base(copied):
    assert type(tl.models.load(copied("bert", architectures="absent"))).__name__ == "BertModel"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hidden_act", "gelu_new"),
        ("pad_token_id", None),
        ("pad_token_id", -1),
        ("attn_implementation", "sdpa"),
        ("_attn_implementation", "flash_attention_2"),
        ("torch_dtype", "float16"),
        ("gradient_checkpointing", True),
        ("classifier_dropout", None),
        ("use_cache", False),
        ("layer_norm_eps", "absent"),
        ("type_vocab_size", "absent"),
        ("position_embedding_type", "absent"),
        ("label2id", {"a": 0}),
        ("auto_map", {"AutoModel": "x.Y"}),
    ],
)
def test_configs_that_are_taken(key, value, copied):
    model = tl.models.load(copied("bert", **{key: value}))
    assert model(tl.tensor([[1, 2, 3]])).last_hidden_state.shape == (1, 3, 32)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("hidden_act", "star", r"hidden_act: expected one of .*found 'star'"),
        ("position_embedding_type", "relative_key", "position_embedding_type: expected 'absolute'"),
        ("is_decoder", True, "is_decoder: expected False"),
        ("hidden_size", "32", "hidden_size: expected an integer"),
        ("hidden_size", 2**40, "hidden_size: expected an integer"),
        ("num_hidden_layers", 10**6, "num_hidden_layers: expected an integer"),
        ("num_hidden_layers", 3000, "num_hidden_layers: expected no more"),
        ("layer_norm_eps", "tiny", "layer_norm_eps: expected a number"),
        ("pruned_heads", {"0": [1]}, "pruned_heads: expected none"),
        ("id2label", {"0": "a", "2": "b"}, "id2label: expected the labels of 0 to 1"),
        ("id2label", ["a"], "id2label: expected an object"),
        ("num_labels", -1, "num_labels: expected an integer"),
        ("quantization_config", {"quant_method": "bitsandbytes"}, "quantization"),
        ("vocab_size", 97, r"word_embeddings\.weight: expected .*\(97, 32\), found"),
        ("hidden_size", 48, r"tensors do not fit BertModel"),
        ("problem_type", "guess", "problem_type: expected"),
    ],
)
def test_configs_that_are_refused(key, value, text, copied):
    with pytest.raises((ModelError, FormatError), match=text):
        tl.models.load(copied("bert", **{key: value}))


def test_labels_and_their_number(copied):
    two = copied("bert_tokens", num_labels=7)
    with pytest.raises(ModelError, match="num_labels: expected 5, as id2label has, found 7"):
        tl.models.load(two)


def test_num_labels_alone(copied):
    folder = copied("bert_tokens", num_labels=5, id2label="absent", label2id="absent")
    assert tl.models.load(folder).config.id2label[4] == "LABEL_4"


def test_unknown_keys_are_told(copied):
    with pytest.warns(ConfigWarning, match=r"config\.json: keys that bert does not know .*: rotor"):
        tl.models.load(copied("bert", rotor=3))


def test_a_context_is_for_decoders():
    with pytest.raises(ArgumentError, match="context"):
        tl.models.load(ROOT / "bert", context=8)


def test_outputs_are_indexed_as_in_transformers():
    x = tl.zeros(1)
    found = LogitsOutput(logits=x, loss=tl.ones(1))
    assert list(found) == ["loss", "logits"]
    assert found[0].item() == 1
    assert found["logits"] is x
    assert found[:2] == found.to_tuple()
    assert "hidden_states" not in found
    assert found.get("hidden_states") is None
    with pytest.raises(KeyError):
        found["hidden_states"]
    assert len(LogitsOutput(logits=x)) == 1


def test_losses_of_labels():
    case = Case("bert_tokens")
    model = case.load()
    labels = tl.tensor([[0, 1, 2, 3, 4, -100, 0, 1, 2, 3, 4, 0]] * 2)
    found = model(**case.inputs, labels=labels)
    logits = case.expected["logits"].astype(np.float64)
    logits = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    kept = labels.numpy()[0] >= 0
    want = -np.mean(
        [logits[b, i, labels.numpy()[b, i]] for b in (0, 1) for i in np.flatnonzero(kept)]
    )
    assert abs(found.loss.item() - want) < 1e-4
    assert found.to_tuple()[0] is found.loss


def test_save_pretrained_wants_a_folder():
    from tallow.models.families.resnet import ResNetConfig, ResNetModel

    model = ResNetModel(ResNetConfig(embedding_size=4, hidden_sizes=(4,), depths=(1,)))
    with pytest.raises(ModelError, match="config.json"):
        model.save_pretrained("anywhere")


@pytest.mark.parametrize("way", ["relative", "link", "link to files"])
def test_save_pretrained_into_its_own_folder(copied, tmp_path, monkeypatch, way):
    folder = copied("bert")
    before = (folder / "config.json").read_bytes()
    target = tmp_path / "other"
    if way == "relative":
        monkeypatch.chdir(folder.parent)
        target = Path(folder.name)
    elif way == "link":
        target.symlink_to(folder)
    else:
        target.mkdir()
        (target / "config.json").symlink_to(folder / "config.json")
    tl.models.load(folder).save_pretrained(target)
    assert (target / "config.json").read_bytes() == before
    case = Case("bert")
    case.check(case.run(tl.models.load(target)))


def test_a_tokenizer_of_vocabulary_files(copied):
    folder = copied("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cat", "##s"]
    (folder / "vocab.txt").write_text("\n".join(words))
    model = tl.models.load(folder)
    assert model.tokenizer.encode("Cats") == [2, 5, 6, 3]
    assert not Case("bert").load().has_tokenizer


def test_a_gguf_file_has_no_head(golden):
    with pytest.raises(ModelError, match=r"task: expected a folder with config\.json"):
        tl.models.load(golden("llama").path("q8_0"), task="text-classification")
