"""ImageProcessor against what transformers and timm made of the same pictures (tests/golden)."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tallow as tl
from tallow.errors import ArgumentError, FormatError, MissingFileError, ShapeError
from tallow.vision import ImageProcessor
from vision.cases import CASES, GOLDEN_SHAPES, SMOOTH_CASES, TIMM_CASES, picture

GOLDEN = Path(__file__).parents[1] / "golden" / "vision" / "processors.npz"


def names_of(key):
    with zipfile.ZipFile(GOLDEN) as archive:
        names = [name.removesuffix(".npy").split("/") for name in archive.namelist()]
    return sorted({f"{case}/{which}" for case, which, _ in names if key(which)})


def compare(batch, golden, prefix):
    for key in golden.files:
        if not key.startswith(prefix + "/"):
            continue
        name, expected = key.rsplit("/", 1)[1], golden[key]
        if name in ("original_sizes", "reshaped_input_sizes"):
            assert getattr(batch, name) == [tuple(size) for size in expected.tolist()]
            continue
        assert batch[name].shape == expected.shape
        # The last bit is left to numpy's loops, which may fuse on other machines; torch's filters
        # are f32, of which a deviation of 0.224 makes more.
        atol = 2e-5 if prefix.startswith("DINO") else 1e-6
        np.testing.assert_allclose(batch[name].numpy(), expected, rtol=0, atol=atol)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        yield arrays


def processor(case):
    if case in TIMM_CASES:
        return ImageProcessor.from_config({"pretrained_cfg": TIMM_CASES[case]})
    if case in SMOOTH_CASES:
        dino = {"image_processor_type": "DINOv3ViTImageProcessorFast", **SMOOTH_CASES[case]}
        return ImageProcessor.from_config(dino)
    return ImageProcessor.from_config(CASES[case])


@pytest.mark.parametrize("case", names_of(str.isdigit))
def test_pictures_equal_the_reference(case, golden):
    name, index = case.split("/")
    array = picture(*GOLDEN_SHAPES[int(index)])
    batch = processor(name)(Image.fromarray(array))
    compare(batch, golden, case)
    assert batch.pixel_values.dtype == tl.f32
    assert batch.original_sizes == [array.shape[:2]]
    if not name.startswith("timm") or "border" not in name:
        again = processor(name)(tl.asarray(np.moveaxis(array, -1, 0).copy()))
        assert again.pixel_values.numpy().tobytes() == batch.pixel_values.numpy().tobytes()


@pytest.mark.parametrize("case", names_of("all".__eq__))
def test_batches_equal_the_reference(case, golden):
    images = [Image.fromarray(picture(*shape)) for shape in GOLDEN_SHAPES]
    batch = processor(case.split("/")[0])(images)
    compare(batch, golden, case)
    assert {**batch}.keys() == {*batch.keys()} >= {"pixel_values"}


def test_masks_can_be_left_out():
    images = [picture(*shape) for shape in GOLDEN_SHAPES]
    with_mask, without = processor("Detr-0")(images), processor("Detr-0")(images, return_mask=False)
    assert [*without] == ["pixel_values"]
    assert {*with_mask} == {"pixel_values", "pixel_mask"}
    np.testing.assert_array_equal(without.pixel_values.numpy(), with_mask.pixel_values.numpy())
    sizes = with_mask.reshaped_input_sizes
    assert [m.sum().item() for m in with_mask.pixel_mask] == [h * w for h, w in sizes]
    with pytest.raises(KeyError):
        without["pixel_mask"]


def test_pictures_of_other_sizes_make_no_batch():
    with pytest.raises(ShapeError, match="pictures that come to one size"):
        processor("ViT-3")([picture(5, 4), picture(4, 5)])
    with pytest.raises(ArgumentError, match="at least one picture"):
        processor("ViT-3")([])


def test_a_bad_picture_is_named(tmp_path):
    thin = tmp_path / "thin.png"
    Image.new("RGB", (900, 1)).save(thin)
    with pytest.raises(ArgumentError, match=r"^.*thin.png: resize: .* 0 × .* from 1 × 900"):
        ImageProcessor.from_config(
            {"image_processor_type": "DetrImageProcessor", "size": 40, "max_size": 60}
        )([picture(9, 9), thin])
    wide = Image.new("RGB", (30_000, 1))
    clip = ImageProcessor.from_config({"image_processor_type": "CLIPImageProcessor"})
    with pytest.raises(ArgumentError, match=r"at most 178956970 pixels, got 224 × 6720000"):
        clip(wide)


def test_floats_go_as_in_the_reference():
    """Resized, floats pass through 8 bits; else they are only rescaled, as every picture."""
    floats = picture(12, 10).astype(np.float32) / 255
    plain = processor("ViT-3")(floats).pixel_values.numpy()
    expected = ((floats.astype(np.float64) / 255).astype(np.float32) - 0.5) / 0.5
    np.testing.assert_allclose(plain[0], np.moveaxis(expected, -1, 0), atol=1e-6)
    whole = processor("ViT-1")(picture(12, 10).astype(np.float32)).pixel_values.numpy()
    np.testing.assert_array_equal(whole, processor("ViT-1")(picture(12, 10)).pixel_values.numpy())


def test_transparent_pictures_lie_on_white_where_the_config_converts():
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    vit = ImageProcessor.from_config({"image_processor_type": "ViTImageProcessor", "size": 8})
    clip = ImageProcessor.from_config(
        {"image_processor_type": "ViTImageProcessor", "size": 8, "do_convert_rgb": True}
    )
    assert vit(clear).pixel_values[0, :, 0, 0].tolist() == [1, -1, -1]
    assert clip(clear).pixel_values[0, :, 0, 0].tolist() == [1, 1, 1]


def write(folder, **files):
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_folders(tmp_path):
    vit = {"image_processor_type": "ViTImageProcessorFast", "size": 24}
    folder = write(tmp_path, preprocessor_config=vit, config={"model_type": "vit"})
    assert ImageProcessor.from_folder(folder).settings.size == {"height": 24, "width": 24}
    file = folder / "preprocessor_config.json"
    assert ImageProcessor.from_folder(file).settings.type == "ViTImageProcessor"
    write(folder, processor_config={"image_processor": CASES["CLIP-0"], "processor_class": "X"})
    assert ImageProcessor.from_folder(folder).settings.type == "CLIPImageProcessor"
    write(folder, processor_config={"processor_class": "X"}, config={"pretrained_cfg": {}})
    assert ImageProcessor.from_folder(folder).settings.type == "TimmWrapperImageProcessor"
    with pytest.raises(MissingFileError, match=r"preprocessor_config.json: file: expected"):
        ImageProcessor.from_folder(tmp_path / "none")


def test_a_folder_without_a_type_goes_by_its_model(tmp_path):
    encoder = {"model_type": "vision-encoder-decoder", "encoder": {"model_type": "deit"}}
    folder = write(tmp_path, preprocessor_config={"size": 20}, config=encoder)
    assert ImageProcessor.from_folder(folder).settings.type == "DeiTImageProcessor"


@pytest.mark.parametrize(("label", "edge"), [("table row", 1000), ("table rotated", 800)])
def test_table_transformers_longest_edge(tmp_path, label, edge):
    """The published v1.1 config says `{"longest_edge": 800}` for detection and structure alike."""
    config = {"image_processor_type": "DetrImageProcessor", "size": {"longest_edge": 800}}
    model = {"model_type": "table-transformer", "id2label": {"0": "table", "1": label}}
    folder = write(tmp_path, preprocessor_config=config, config=model)
    batch = ImageProcessor.from_folder(folder)([picture(40, 50), picture(50, 20)])
    other = round(edge * 0.8)
    assert batch.reshaped_input_sizes == [(other, edge), (edge, round(edge * 0.4))]
    assert batch.pixel_values.shape == (2, 3, edge, edge)


def test_maps_become_labels():
    config = {"image_processor_type": "SegformerImageProcessor", "size": [10, 24]}
    classes = np.arange(60, dtype=np.uint8).reshape(5, 12)
    image = picture(5, 12)
    batch = ImageProcessor.from_config(config)([image, image], segmentation_maps=[classes] * 2)
    twice = classes.repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(batch.labels.numpy(), [twice, twice])
    assert {*batch} == {"pixel_values", "labels"}
    config["do_reduce_labels"] = True
    batch = ImageProcessor.from_config(config)(image, segmentation_maps=tl.asarray(classes.copy()))
    np.testing.assert_array_equal(batch.labels.numpy()[0], np.where(twice == 0, 255, twice - 1))


@pytest.mark.parametrize(
    ("kind", "maps", "text"),
    [
        ("ViT", [np.zeros((5, 5), int)], "ViTImageProcessor: expected pictures alone"),
        ("Beit", [np.zeros((5, 5), int)] * 2, "expected 1 maps, got 2"),
        ("Beit", [np.zeros((5, 5, 3), int)], r"expected maps \(height, width\) of integers"),
        ("Beit", [np.zeros((5, 5))], r"expected maps \(height, width\) of integers"),
        ("Beit", [np.full((5, 5), 256)], r"of integers from 0 to 255"),
        ("Beit", [np.zeros((0, 5), int)], r"of integers from 0 to 255"),
    ],
)
def test_maps_that_are_none(kind, maps, text):
    processor = ImageProcessor.from_config({"image_processor_type": f"{kind}ImageProcessor"})
    with pytest.raises(ArgumentError, match=text):
        processor(picture(5, 5), segmentation_maps=maps)


def test_masks_of_sam_need_their_sizes():
    config = {"image_processor_type": "SamImageProcessor", "size": {"longest_edge": 9}}
    for more, text in (
        ({"mask_size": 8}, "mask_size: expected longest_edge, got"),
        ({"mask_pad_size": {"longest_edge": 8}}, "mask_pad_size: expected height, got"),
    ):
        processor = ImageProcessor.from_config({**config, **more})
        with pytest.raises(ArgumentError, match=text):
            processor(picture(5, 5), segmentation_maps=np.zeros((5, 5), int))


def test_points_scale_with_the_picture():
    sam = ImageProcessor.from_config(
        {"image_processor_type": "SamImageProcessor", "size": {"longest_edge": 40}, "pad_size": 40}
    )
    batch = sam([picture(20, 10), picture(80, 40)])
    assert batch.scaled([[[1, 2]], [[8, 4]]]).tolist() == [[[2, 4]], [[4, 2]]]
    assert batch.scaled([[1, 2, 3, 4], [2, 2, 8, 8]]).tolist() == [[2, 4, 6, 8], [1, 1, 4, 4]]
    with pytest.raises(ShapeError, match=r"Batch.scaled: expected 2 lists of points or boxes"):
        batch.scaled([[[1, 2]]])
    with pytest.raises(ShapeError, match=r"Batch.scaled: expected 2 lists of points or boxes"):
        batch.scaled([[[1, 2, 3]], [[1, 2, 3]]])


def test_import_is_light():
    code = (
        "import sys, tallow.vision; from tallow.vision import ImageProcessor;"
        "ImageProcessor.from_config({'image_processor_type': 'ViTImageProcessor'});"
        "assert not {'PIL', 'numpy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def test_ocr_is_not_made_up():
    layout = ImageProcessor.from_config({"image_processor_type": "LayoutLMv3ImageProcessor"})
    with pytest.raises(ArgumentError, match="apply_ocr: expected words and boxes"):
        layout(picture(20, 20))
    batch = layout(picture(20, 20), words=[["a"]], boxes=[[[0, 0, 1, 1]]])
    assert batch.words == [["a"]] and [*batch] == ["pixel_values"]


def test_pictures_that_are_too_narrow_for_qwen_vl():
    processor = ImageProcessor.from_config({"image_processor_type": "Qwen2VLImageProcessor"})
    assert processor(picture(1, 1)).image_grid_thw.tolist() == [[1, 4, 4]]
    assert processor(picture(1, 200)).image_grid_thw.tolist() == [[1, 2, 58]]
    wanted = "picture 1: resize: expected edges of at most 200 to 1, got 1 × 30000"
    with pytest.raises(ArgumentError, match=wanted):
        processor([picture(8, 8), np.zeros((1, 30_000, 3), np.uint8)])


def test_numbers_of_pixels_are_bounded():
    config = {"image_processor_type": "Qwen2VLImageProcessor"}
    with pytest.raises(FormatError, match=r"size\.longest_edge: expected an integer from 1 to 17"):
        ImageProcessor.from_config({**config, "max_pixels": 10**12})
    old = {"size": {"min_pixels": 784, "max_pixels": 7840}}
    assert ImageProcessor.from_config({**config, **old}).settings.size == {
        "shortest_edge": 784,
        "longest_edge": 7840,
    }


def test_numbers_of_frames_are_bounded():
    config = {"image_processor_type": "SmolVLMImageProcessor", "size": {"longest_edge": 4096}}
    processor = ImageProcessor.from_config({**config, "max_image_size": {"longest_edge": 4}})
    with pytest.raises(ArgumentError, match="at most 1024 frames a picture, got 1048576"):
        processor(picture(8, 8))
    with pytest.raises(FormatError, match="max_image_size: expected longest_edge"):
        ImageProcessor.from_config({**config, "max_image_size": {"height": 4, "width": 4}})


def test_frames_and_sizes_of_a_batch():
    config = {"size": {"longest_edge": 40}, "max_image_size": {"longest_edge": 16}}
    smol = ImageProcessor.from_config({"image_processor_type": "SmolVLMImageProcessor", **config})
    found = smol([picture(20, 31), picture(5, 100), picture(40, 4)])
    assert (found.rows.tolist(), found.cols.tolist()) == ([[2, 1, 3]], [[3, 3, 1]])
    assert found.pixel_values.shape == (1, 7 + 4 + 4, 3, 16, 16)
    pixtral = ImageProcessor.from_config(CASES["Pixtral-0"])([picture(20, 31), picture(64, 2)])
    assert pixtral.image_sizes.tolist() == [[24, 32], [40, 8]]
    assert pixtral.pixel_values.shape == (2, 3, 40, 32)
    with pytest.raises(FormatError, match="a height and a width that are equal"):
        ImageProcessor.from_config({**CASES["Pixtral-0"], "patch_size": {"height": 4, "width": 8}})
