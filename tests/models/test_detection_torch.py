"""Detectors of full-size backbones against transformers, from a picture to its boxes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tallow as tl
from models.golden_families import Case
from tallow.models.detection_losses import assignment
from tallow.vision import ImageProcessor
from vision.cases import picture

pytestmark = pytest.mark.needs_torch

TINY = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_queries": 15,
}
LABELS = {"id2label": {0: "table", 1: "table rotated"}}
RESNET18 = {
    "use_timm_backbone": False,
    "backbone_config": {
        "model_type": "resnet",
        "embedding_size": 64,
        "hidden_sizes": [64, 128, 256, 512],
        "depths": [2, 2, 2, 2],
        "layer_type": "basic",
        "out_features": ["stage4"],
    },
}


def cut(name):
    """The first two stages of a large backbone."""
    given = {"model_type": "timm_backbone", "backbone": name, "out_indices": [1, 2]}
    return {"backbone_config": given}


CASES = {
    "timm": ("TableTransformer", {"backbone": "resnet18"}),
    "dilated": ("TableTransformer", {"backbone": "resnet18", "dilation": True}),
    "resnet": ("TableTransformer", RESNET18),
    "detr": ("Detr", {"backbone": "resnet34"}),
    "deep": ("Detr", {"backbone": "resnet18d", "dilation": True}),
    "tiered": ("Detr", {"backbone": "resnet14t"}),
    "wide": ("Detr", cut("wide_resnet50_2")),
    "grouped": ("Detr", cut("resnext50_32x4d")),
}


@pytest.fixture(scope="module", autouse=True)
def torchvision():
    """Importable, also where it was built for another torch."""
    with contextlib.suppress(ImportError):  # without torchvision there is nothing to mend
        importlib.import_module("golden.tvstub")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A detector of transformers whose head tells queries apart, and its folder."""
    import transformers as T

    @functools.cache
    def make(case):
        import torch

        prefix, more = CASES[case]
        if more is not RESNET18:
            pytest.importorskip("timm", reason="make golden installs it")
        torch.manual_seed(0)
        config = getattr(T, f"{prefix}Config")(**TINY, **LABELS, **more)
        model = getattr(T, f"{prefix}ForObjectDetection")(config).eval()
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "backbone" not in name and value.ndim > 1:
                    value.mul_(10 if "embeddings" in name or "classifier" in name else 2)
            for name, value in model.named_buffers():
                if name.endswith(("running_mean", "bias")):
                    value.normal_(0, 0.1)
                elif name.endswith(("running_var", "weight")):
                    value.uniform_(0.8, 1.2)
        folder = tmp_path_factory.mktemp(case)
        model.save_pretrained(folder)
        return model, folder

    return make


def agree(found, want):
    for name in ("logits", "pred_boxes", "encoder_last_hidden_state"):
        expected = want[name].numpy()
        scale = max(1.0, float(expected.std()))
        np.testing.assert_allclose(found[name].numpy(), expected, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize("case", CASES)
def test_backbones(case, saved):
    import torch

    model, folder = saved(case)
    pixels = torch.randn(2, 3, 75, 101, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 75, 101, dtype=torch.long)
    mask[1, 51:] = 0
    mask[1, :, 67:] = 0
    with torch.no_grad():
        want = model(pixels * mask[:, None], mask)
    ours = tl.models.load(folder)
    found = ours(tl.tensor((pixels * mask[:, None]).numpy()), tl.tensor(mask.numpy()))
    agree(found, want)


def test_older_configs_are_the_same_model(saved):
    _, folder = saved("dilated")
    path = folder / "config.json"
    x = tl.randn(1, 3, 64, 64)
    want = tl.models.load(folder)(x)
    values = json.loads(path.read_text())
    del values["backbone_config"]
    path.write_text(json.dumps(values | {"backbone": "resnet18", "dilation": True}))
    found = tl.models.load(folder)(x)
    assert found.encoder_last_hidden_state.shape == (1, 16, 32)
    np.testing.assert_array_equal(found.logits.numpy(), want.logits.numpy())


@pytest.mark.parametrize("case", ["timm", "detr"])
def test_from_pictures_to_boxes(case, saved):
    import torch

    from vision.reference import reference

    model, folder = saved(case)
    settings = {
        "image_processor_type": "DetrImageProcessor",
        "size": {"shortest_edge": 96, "longest_edge": 128},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    pictures = [Image.fromarray(picture(*shape)) for shape in ((90, 140), (210, 133), (64, 64))]
    sizes = [(90, 140), (210, 133), (64, 64)]
    theirs = reference(settings)
    with torch.no_grad():
        outputs = model(**theirs(pictures, return_tensors="pt"))
    threshold = float(outputs.logits.softmax(-1)[..., :-1].max(-1).values.median())
    want = theirs.post_process_object_detection(outputs, threshold, sizes)

    processor = ImageProcessor.from_folder(folder)
    batch = processor(pictures)
    assert batch.original_sizes == sizes
    found = processor.post_process_object_detection(
        tl.models.load(folder)(**batch), threshold, batch.original_sizes
    )
    assert sum(len(row["scores"]) for row in want) > 10
    for ours, expected in zip(found, want, strict=True):
        assert ours["labels"].tolist() == expected["labels"].tolist()
        for name, tolerance in (("scores", 1e-4), ("boxes", 1e-2)):
            np.testing.assert_allclose(
                ours[name].numpy(), expected[name].numpy(), rtol=1e-4, atol=tolerance
            )


def labelled(*counts, masks=False):
    """Labels of pictures for both sides."""
    import torch

    rng = np.random.default_rng(1)
    ours, theirs = [], []
    for row, n in enumerate(counts):
        ids = rng.integers(0, 3, n)
        boxes = np.hstack([rng.random((n, 2)), 0.05 + rng.random((n, 2)) / 3]).astype(np.float32)
        label = {"class_labels": ids, "boxes": boxes}
        if masks:
            label["masks"] = rng.random((n, 40 + 3 * row, 50 - row)) < 0.3
        ours.append({key: tl.tensor(value) for key, value in label.items()})
        theirs.append({key: torch.tensor(value) for key, value in label.items()})
    return ours, theirs


def compare_losses(name, labels, paths, *, train=False, change=()):
    """The losses of a golden's model on both sides, and some gradients."""
    import torch
    import transformers as T

    case = Case(name)
    if "timm_backbone" in (case.folder / "config.json").read_text():
        pytest.importorskip("timm", reason="make golden installs it")
    kind = getattr(T, case.notes["model"])
    theirs = kind.from_pretrained(case.folder, dtype=torch.float32).requires_grad_(True)
    for key, value in theirs.named_buffers():
        if key.endswith("n_points_scale"):  # 1/3, which the golden's file has in bf16
            value.fill_(1 / len(value) * 3)
    theirs.train(train)
    ours = case.load(dtype=tl.f32).requires_grad_().train(train)
    for module in [*ours.modules(), *theirs.modules()]:
        if type(module).__name__ == "BatchNorm2d":
            module.eval()  # over few positions, its statistics make much of rounding
    for key, value in change:
        setattr(theirs.config, key, value)
        for module in ours.modules():
            if hasattr(getattr(module, "config", None), key):
                module.config = replace(module.config, **{key: value})
    found = ours(**case.inputs, labels=labels[0])
    wanted = theirs(
        **{key: torch.tensor(value.numpy()) for key, value in case.inputs.items()},
        labels=labels[1],
    )
    assert list(found.loss_dict) == list(wanted.loss_dict)
    for key, value in wanted.loss_dict.items():
        assert found.loss_dict[key].item() == pytest.approx(value.item(), rel=1e-4), key
    assert found.loss.item() == pytest.approx(wanted.loss.item(), rel=1e-4)
    assert len(found.auxiliary_outputs or ()) == len(wanted.auxiliary_outputs or ())
    for one, other in zip(
        found.auxiliary_outputs or (), wanted.auxiliary_outputs or (), strict=True
    ):
        for key, value in other.items():
            np.testing.assert_allclose(
                one[key].detach().numpy(), value.detach().numpy(), rtol=1e-3, atol=1e-3
            )
    found.loss.backward()
    wanted.loss.backward()
    for path in paths:
        other = paths[path] or path if isinstance(paths, dict) else path
        want = theirs.get_parameter(f"{other}.weight").grad.numpy()
        gradient = ours.get_parameter(f"{path}.weight").grad.numpy()
        np.testing.assert_allclose(gradient, want, rtol=0, atol=5e-4 * np.abs(want).max())
    return found, wanted


@pytest.mark.parametrize(
    "name",
    ["detr", "detr_learned", "table-transformer", "conditional_detr", "conditional_detr_auxiliary",
     "yolos"],
)  # fmt: skip
def test_losses(name):
    last = ".layers.0" if name == "yolos" else ""
    paths = f"class_labels_classifier{last}", "bbox_predictor.layers.0"
    compare_losses(name, labelled(4, 2), paths)


@pytest.mark.parametrize(
    ("counts", "more"),
    [
        ((4, 2), ()),
        ((3, 0), (("mask_loss_coefficient", 2), ("dice_loss_coefficient", 3))),
    ],
)
def test_losses_of_masks(counts, more):
    paths = {
        "detr.class_labels_classifier": None, "mask_head.out_lay": "mask_head.output_conv",
        "bbox_attention.q_linear": "bbox_attention.q_proj",
    }  # fmt: skip
    compare_losses("detr_segmentation", labelled(*counts, masks=True), paths, change=more)


RT_PATHS = (
    "model.decoder.class_embed.1", "model.decoder.bbox_embed.0.layers.0", "model.enc_score_head",
    "model.enc_bbox_head.layers.0", "model.decoder.layers.0.encoder_attn.value_proj",
)  # fmt: skip
OTHER = (
    ("auxiliary_loss", False), ("use_focal_loss", False), ("matcher_class_cost", 1.0),
    ("focal_loss_alpha", 0.6), ("focal_loss_gamma", 1.5), ("weight_loss_vfl", 2.0),
    ("weight_loss_bbox", 3.0), ("weight_loss_giou", 1.0),
)  # fmt: skip


@pytest.mark.parametrize("counts", [(4, 2), (3, 0), (0, 0)])
@pytest.mark.parametrize("name", ["rt_detr", "rt_detr_v2", "rt_detr_basic"])
def test_losses_of_rt_detr(name, counts):
    compare_losses(name, labelled(*counts), RT_PATHS)


def test_losses_of_rt_detr_by_other_weights():
    compare_losses("rt_detr", labelled(4, 2), RT_PATHS[:1], change=OTHER)


@pytest.mark.parametrize(
    ("counts", "more"),
    [
        ((4, 2), (("num_denoising", 20),)),
        ((3, 0), (("num_denoising", 2),)),
        ((0, 0), ()),
        ((2, 1), (("label_noise_ratio", 0.0), ("box_noise_scale", 0.4))),
        ((2, 1), (("box_noise_scale", 0.0),)),
        ((2, 1), (("auxiliary_loss", False),)),
        ((2, 1), (("num_denoising", 0),)),
    ],
)
@pytest.mark.parametrize("name", ["rt_detr", "rt_detr_v2"])
def test_training_of_rt_detr(name, counts, more, monkeypatch):
    import torch

    from tallow.models.blocks import denoising

    rng = np.random.default_rng(3)
    draws = {"rand": [], "randint": []}

    def rand(*shape):
        draws["rand"].append(rng.random(shape).astype(np.float32))
        return tl.tensor(draws["rand"][-1])

    def randint(low, high, shape):
        draws["randint"].append(rng.integers(low, high, tuple(shape)))
        return tl.tensor(draws["randint"][-1])

    def rand_like(x, **_):
        found = torch.tensor(draws["rand"].pop(0))
        assert found.shape == x.shape
        return found

    def randint_like(x, low, high, dtype=None):
        found = torch.tensor(draws["randint"].pop(0))
        assert found.shape == x.shape
        return found.to(dtype or x.dtype)

    monkeypatch.setattr(denoising, "rand", rand)
    monkeypatch.setattr(denoising, "randint", randint)
    monkeypatch.setattr(torch, "rand_like", rand_like)
    monkeypatch.setattr(torch, "randint_like", randint_like)
    paths = RT_PATHS[:1]
    noisy = any(counts) and ("num_denoising", 0) not in more
    if noisy and ("auxiliary_loss", False) not in more:
        paths = (*paths, "model.denoising_class_embed")
    found, want = compare_losses(name, labelled(*counts), paths, train=True, change=more)
    assert not draws["rand"]
    assert not draws["randint"]
    assert found.logits.shape == tuple(want.logits.shape)
    assert (found.denoising_meta_values is not None) == noisy
    if noisy:
        for key in ("dn_num_group", "dn_num_split"):
            assert found.denoising_meta_values[key] == want.denoising_meta_values[key]


@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize(
    "name",
    ["detr", "detr_learned", "table-transformer", "conditional_detr", "detr_segmentation",
     "rt_detr", "rt_detr_basic", "rt_detr_v2", "rt_detr_model", "yolos", "yolos_model"],
)  # fmt: skip
def test_every_result(name, auxiliary):
    import torch
    import transformers as T

    from tallow.models import build
    from tallow.weights import open_weights

    case = Case(name)
    values = {} if name.startswith("yolos") else {"auxiliary_loss": auxiliary}
    kind = getattr(T, case.notes["model"])
    theirs = kind.from_pretrained(case.folder, dtype=torch.float32, **values).eval()
    for key, value in theirs.named_buffers():
        if key.endswith("n_points_scale"):  # 1/3, which the golden's file has in bf16
            value.fill_(1 / len(value) * 3)
    source = open_weights(case.folder)
    source.config = {**source.config, **values}
    found = build(source)(**case.inputs, output_hidden_states=True)
    given = {key: torch.tensor(value.numpy()) for key, value in case.inputs.items()}
    with torch.no_grad():
        want = theirs(**given, output_hidden_states=True)
    filled = [key for key, value in want.items() if len(value)]
    assert found.keys() == filled
    for key in filled:
        agree_all(found[key], want[key])


def agree_all(found, want):
    if isinstance(want, tuple | list):
        assert len(found) == len(want)
        for one, other in zip(found, want, strict=True):
            agree_all(one, other)
    else:
        scale = max(1.0, float(want.std()))
        np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-4, atol=1e-4 * scale)


def test_assignments_are_scipys():
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(2)
    for shape in ((1, 9), (30, 12), (17, 60), (25, 25)):
        costs = rng.normal(size=shape)
        rows, columns = linear_sum_assignment(costs)
        assert assignment(costs.tolist()) == list(zip(rows, columns, strict=True))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("conditional_detr", "ConditionalDetr"),
        ("rt_detr", "RTDetr"),
        ("rt_detr_v2", "RTDetr"),
        ("yolos", "Yolos"),
        ("detr_segmentation", "Detr"),
    ],
)
def test_tiny_models_from_pictures_to_boxes(name, kind):
    import torch
    import transformers as T

    from vision.reference import reference

    case = Case(name)
    settings = {
        "image_processor_type": f"{kind}ImageProcessor",
        "size": {"height": 64, "width": 96},
    }
    pictures = [Image.fromarray(picture(*shape)) for shape in ((90, 140), (210, 133))]
    sizes = [(90, 140), (210, 133)]
    model = getattr(T, case.notes["model"]).from_pretrained(case.folder, dtype=torch.float32)
    for key, value in model.named_buffers():
        if key.endswith("n_points_scale"):  # 1/3, which the golden's file has in bf16
            value.fill_(1 / len(value) * 3)
    theirs = reference(settings)
    given = theirs(pictures, return_tensors="pt")
    with torch.no_grad():
        outputs = model.eval()(given["pixel_values"])
    want = theirs.post_process_object_detection(outputs, 0.0, sizes)

    processor = ImageProcessor.from_config(settings)
    batch = processor(pictures)
    outputs = case.load()(batch.pixel_values)
    found = processor.post_process_object_detection(outputs, 0.0, batch.original_sizes)
    for ours, expected in zip(found, want, strict=True):
        assert len(expected["scores"]) >= 5
        assert ours["labels"].tolist() == expected["labels"].tolist()
        for key, tolerance in (("scores", 1e-4), ("boxes", 2e-2)):
            np.testing.assert_allclose(
                ours[key].numpy(), expected[key].numpy(), rtol=1e-4, atol=tolerance
            )
