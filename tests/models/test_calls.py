"""What calls of models refuse by name: arguments of others, and labels where no loss can be."""

from __future__ import annotations

import pytest

import tallow as tl
from models.golden_families import Case
from tallow.errors import ArgumentError, DTypeError, UnsupportedCaseError

# Arguments that transformers' classes swallow among `**kwargs`, or that belong to other families.
FOREIGN = [
    ("layoutlmv3", "interpolate_pos_encoding"),
    ("detr", "interpolate_pos_encoding"),
    ("segformer_segmentation", "interpolate_pos_encoding"),
    ("yolos", "interpolate_pos_encoding"),
    ("distilbert_classification", "token_type_ids"),
    ("modernbert_masked_lm", "token_type_ids"),
    ("llama", "token_type_ids"),
    ("bart", "use_cache"),
    ("vit", "attention_mask"),
    ("resnet", "labels"),
]


@pytest.mark.parametrize(("name", "argument"), FOREIGN)
def test_arguments_of_other_models_are_refused_by_name(name, argument):
    case = Case(name)
    model = case.load()
    wanted = f"{type(model).__name__}: {argument}: expected one of "
    with pytest.raises(DTypeError, match=wanted) as caught:
        model(**case.inputs, **{argument: True})
    assert all(known in str(caught.value) for known in case.inputs)


def test_arguments_of_other_models_are_refused_before_hooks_see_an_answer():
    case = Case("vit")
    model = case.load()
    seen = []
    model.register_forward_hook(lambda *_: seen.append(1))
    with pytest.raises(DTypeError, match="ViTModel: labels: expected one of pixel_values"):
        model(**case.inputs, labels=tl.zeros(2))
    assert not seen


def test_a_type_error_within_a_model_stays_what_it_is():
    model = Case("vit").load()
    with pytest.raises(TypeError, match="positional"):
        model(*range(9))


def test_depth_has_no_loss():
    case = Case("depth_anything")
    with pytest.raises(UnsupportedCaseError, match="labels: expected none"):
        case.load()(**case.inputs, labels=tl.zeros(2, 28, 42))
    assert case.load()(case.inputs["pixel_values"], None).predicted_depth.shape == (2, 28, 42)


def captured(name, **labels):
    case = Case(name)
    model = case.load()
    known = {key: value for key, value in case.inputs.items() if key not in labels}
    return tl.capture(
        lambda *given: model(**known, **dict(zip(labels, given, strict=True))).loss,
        *labels.values(),
    )


PLACE = tl.zeros(2, dtype=tl.i64)
LABELS = [
    ("bert_classification", {"labels": PLACE}),
    ("bert_answers", {"start_positions": PLACE, "end_positions": PLACE}),
    ("resnet_classification", {"labels": PLACE}),
    ("segformer_segmentation", {"labels": tl.zeros(2, 32, 48, dtype=tl.i64)}),
    ("llama", {"labels": tl.zeros(2, 12, dtype=tl.i64)}),
]


@pytest.mark.parametrize(("name", "labels"), LABELS)
def test_a_plan_has_no_loss_of_labels(name, labels):
    wanted = f"{', '.join(labels)}: expected none while a plan is captured.*: a loss reads"
    with pytest.raises(ArgumentError, match=wanted):
        captured(name, **labels)


def test_labels_by_place_and_lists_of_boxes_are_named_too():
    case = Case("detr")
    model = case.load()
    boxes = [{"class_labels": tl.zeros(1, dtype=tl.i64), "boxes": tl.full((1, 4), 0.5)}] * 2
    with pytest.raises(ArgumentError, match=r"labels: .*a loss reads their values"):
        tl.capture(
            lambda x: model(**{**case.inputs, "pixel_values": x}, labels=boxes).loss,
            case.inputs["pixel_values"],
        )
    case = Case("resnet_classification")
    model = case.load()
    with pytest.raises(ArgumentError, match=r"labels: .*a loss reads their values"):
        tl.capture(lambda x, y: model(x, y).loss, case.inputs["pixel_values"], PLACE)


def test_what_a_call_without_labels_reads_is_no_matter_of_labels():
    case = Case("resnet_classification")
    model = case.load()
    model.register_forward_hook(lambda _, __, output: output.logits.sum().item())
    with pytest.raises(
        ArgumentError, match="item: a value that depends on an input cannot be read"
    ):
        tl.capture(lambda x: model(x).logits, case.inputs["pixel_values"])
