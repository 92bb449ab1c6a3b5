"""Detectors of full-size backbones against transformers, from a picture to its boxes."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json

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
