"""What tasks do with the wrong model, odd inputs and options, and after they were closed."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest

import tallow as tl
from tallow.errors import ArgumentError, FormatError, ModelError
from tallow.tasks import BatchError
from tallow.vision.postprocess import detr_semantic_segmentation, object_detection
from tasks.test_tasks import LONG, ROOT, TEXTS, expected, near

FAMILIES = ROOT.parent / "families"
PICTURE = ROOT / "images" / "0.png"
DETR = {
    "image_processor_type": "DetrImageProcessor",
    "size": {"shortest_edge": 32, "longest_edge": 64},
}


def square(case: str, kind: str = "ViT", size: int = 32):
    return {"image_processor_type": f"{kind}ImageProcessor", "size": [size, size]}


def vision_model(case: str):
    """A golden of pictures, and a processor that suits it."""
    config = json.loads((FAMILIES / case / "config.json").read_text())
    config = {**config, **config.get("vision_config", {})}
    if config["model_type"].startswith("siglip2"):
        size = {"patch_size": config["patch_size"], "max_num_patches": 16}
        return FAMILIES / case, {"image_processor_type": "Siglip2ImageProcessor", **size}
    return FAMILIES / case, square(case, size=config.get("image_size", 32))


WRONG = [
    ("Embedder", "vit", "a model that takes input_ids, found ViTModel"),
    ("Embedder", "detr", "a model that takes input_ids, found DetrModel"),
    ("Embedder", "timm_mobilenetv3", "a model that takes input_ids"),
    ("ImageEmbedder", "bert", "a model that takes pixel_values, found BertModel"),
    ("ImageEmbedder", "llama_model", "a model that takes pixel_values, found LlamaModel"),
    ("ZeroShotImageClassifier", "bert", "a model that takes input_ids and pixel_values"),
    ("ZeroShotImageClassifier", "vit", "a model that takes input_ids and pixel_values"),
    ("ImageClassifier", "bert", "found none for 'image-classification'"),
    ("Detector", "vit_classification", "found none for 'object-detection'"),
    ("Segmenter", "yolos", "found none for 'image-segmentation'"),
    ("LLM", "bert", "LLM: expected a model that continues texts, found BertModel"),
    ("LLM", "llama_model", "found LlamaModel"),
    ("LLM", "timm_mobilenetv3", "found TimmMobileNet"),
    ("LLM", "vision-encoder-decoder_small", "found VisionEncoderDecoderModel"),
    ("LineReader", "trocr_alone", "found none for 'image-to-text'"),
    ("TextClassifier", "clip", "found none for 'text-classification'"),
]


@pytest.mark.parametrize(("task", "case", "said"), WRONG, ids=lambda x: str(x)[:24])
def test_the_wrong_model_is_refused_when_it_is_loaded(task, case, said):
    with pytest.raises(ModelError, match=said):
        getattr(tl, task)(FAMILIES / case)


def test_an_encoder_of_pictures_without_vectors():
    folder, processor = vision_model("sam")
    with pytest.raises(ModelError, match="ImageEmbedder: expected a model that gives vectors"):
        tl.ImageEmbedder(folder, processor={**processor, "size": [40, 40]}).encode(PICTURE)


@pytest.mark.parametrize("case", ["yolos", "detr", "table-transformer", "rt_detr"])
def test_detectors(case):
    """Also those that take no mask of padding, though their processors make one."""
    kind = {"yolos": "Yolos", "rt_detr": "RTDetr"}.get(case, "Detr")
    size = {"height": 64, "width": 64} if case == "rt_detr" else DETR["size"]
    processor = {"image_processor_type": f"{kind}ImageProcessor", "size": size}
    detector = tl.Detector(FAMILIES / case, processor=processor, threshold=0)
    found = detector(PICTURE)
    batch = detector.processor(PICTURE)
    takes = ("pixel_values",) if case == "yolos" else ("pixel_values", "pixel_mask")
    made = detector.model(**{name: batch[name] for name in takes if name in batch})
    how = detector.processor.settings.kind.detection
    (want,) = object_detection(
        made.logits, made.pred_boxes, threshold=0, target_sizes=batch.original_sizes, **how
    )
    near([each.score for each in found], sorted(want["scores"].tolist(), reverse=True))
    assert len(found) == len(want["boxes"].tolist())


def test_masks_of_queries_become_classes():
    segmenter = tl.Segmenter(FAMILIES / "detr_segmentation", processor=DETR)
    batch = segmenter.processor(PICTURE)
    made = segmenter.model(batch.pixel_values, batch.pixel_mask)
    sizes = batch.original_sizes
    (want,) = detr_semantic_segmentation(made.logits, made.pred_masks, target_sizes=sizes)
    assert np.array_equal(segmenter(PICTURE).numpy(), want.numpy())
    assert want.numpy().max() < len(segmenter.labels)


@pytest.mark.parametrize("case", ["siglip2_vision", "clip_vision", "dinov2"])
def test_vectors_of_pictures_alone(case):
    folder, processor = vision_model(case)
    embedder = tl.ImageEmbedder(folder, processor=processor)
    batch = embedder.processor(PICTURE)
    near(embedder.encode(PICTURE), embedder.model(**batch).pooler_output.numpy()[0])


@pytest.mark.parametrize("case", ["clip", "chinese_clip", "siglip", "siglip2"])
def test_vectors_of_texts_beside_pictures(case, tmp_path):
    """Features of texts are those that the pictures' are compared with, cut to the positions."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    settings = {"tokenizer_class": "BertTokenizer", "model_max_length": 10**4}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    embedder = tl.Embedder(FAMILIES / case, tokenizer=tmp_path)
    positions = embedder.model.config.text_config.max_position_embeddings
    found = embedder.encode(["a cat", "dog " * 900])
    siglip = case.startswith("siglip")
    batch = embedder.tokenizer.batch(
        ["a cat"], padding="max_length" if siglip else True, truncation=True, max_length=positions
    )
    inputs = {} if siglip else {"attention_mask": batch.attention_mask}
    want = embedder.model.get_text_features(batch.input_ids, **inputs).pooler_output
    near(found[0], want.numpy()[0])
    inner = shutil.copytree(FAMILIES / case, tmp_path / "folder" / "0_CLIPModel")
    rows = [{"type": "sentence_transformers.models.CLIPModel", "path": inner.name}]
    (inner.parent / "modules.json").write_text(json.dumps(rows))
    near(tl.Embedder(inner.parent, tokenizer=tmp_path).encode("a cat"), want.numpy()[0])


def test_texts_and_pairs_in_one_batch():
    classifier = tl.TextClassifier(ROOT / "texts")
    items = ["abc", ("a cat", "sleeps"), "tensor kernel", ("abc", "xy"), ["a", "b"]]
    one_by_one = [classifier([item], top_k=None)[0] for item in items]
    for found, want in zip(classifier(items, top_k=None), one_by_one, strict=True):
        assert [each.label for each in found] == [each.label for each in want]
        near([each.score for each in found], [each.score for each in want])


@pytest.fixture(scope="module")
def classifier():
    return tl.ImageClassifier(ROOT / "images")


def test_what_is_one_picture(classifier, tmp_path):
    from PIL import Image

    raw, want = PICTURE.read_bytes(), classifier(str(PICTURE))
    image = Image.open(PICTURE).convert("RGB")
    pixels = np.asarray(image)
    with PICTURE.open("rb") as file:
        sources = [PICTURE, raw, bytearray(raw), memoryview(raw), file, io.BytesIO(raw), image]
        for source in [*sources, pixels, tl.tensor(pixels)]:
            assert classifier(source) == want
    assert classifier(np.asarray(image.convert("L"))) == classifier(image.convert("L"))
    several = [np.stack([pixels, pixels]), np.array([str(PICTURE)] * 2), {PICTURE}, iter([PICTURE])]
    for each in several:
        assert set(classifier(each)) == {want}


@pytest.mark.parametrize("what", [None, 7, object(), {"image": "x"}, np.zeros(5)])
def test_what_is_no_picture(what, classifier):
    with pytest.raises(tl.errors.TallowError, match=r"^(load_image: expected|image)"):
        classifier(what)


TASKS = {"Embedder": "sentences", "TextClassifier": "texts", "TokenClassifier": "tokens"}


@pytest.mark.parametrize("what", [None, 7, b"abc", {"text": "a"}])
@pytest.mark.parametrize("task", TASKS)
def test_what_is_no_text(task, what):
    made = getattr(tl, task)(ROOT / TASKS[task])
    call = made.encode if task == "Embedder" else made
    with pytest.raises(ArgumentError, match=f"expected a text, got {type(what).__name__}"):
        call(what)


def test_rerankers_want_pairs_and_lists():
    reranker = tl.Reranker(ROOT / "reranker")
    assert reranker.predict(("a", "b")).item() == reranker.predict([("a", "b")]).tolist()[0]
    for what in ("ab", ["ab"], [("a", "b", "c")], 7):
        with pytest.raises(ArgumentError, match="rerank: expected a pair of query and document"):
            reranker.predict(what)
    for what in ("ab", None, {"a": "b"}):
        with pytest.raises(ArgumentError, match="documents: expected a list of texts"):
            reranker.rank("a", what)
    for top_k in (0, -1, True, "a", 1.5):
        with pytest.raises(ArgumentError, match="top_k: expected a number of at least 1"):
            reranker.rank("a", ["b"], top_k=top_k)
    ranked = reranker.rank("a", (text for text in TEXTS[:3]))
    assert {each.text for each in ranked} == {*TEXTS[:3]}


def test_what_did_not_fail_is_finished(classifier):
    with pytest.raises(BatchError) as caught:
        classifier([PICTURE, "none.png"], top_k=2)
    assert [each.label for each in caught.value.results[0]] == [
        row["label"] for row in expected("images")["all"][0][:2]
    ]
    with pytest.raises(BatchError) as caught:
        tl.Embedder(ROOT / "sentences").encode([TEXTS[0], None], truncate_dim=8)
    near(caught.value.results[0], expected("sentences")["truncated"][0])
    with pytest.raises(BatchError) as caught:
        tl.Reranker(ROOT / "reranker").predict([("which animal sleeps", TEXTS[0]), ("a", None)])
    near(caught.value.results[0], expected("reranker")["scores"][0])


@pytest.mark.parametrize("task", ["images", "sentences", "static"])
def test_after_it_was_closed(task, tmp_path):
    if task == "images":
        made, call = tl.ImageClassifier(ROOT / "images"), lambda: made(PICTURE)
    elif task == "sentences":
        made, call = tl.Embedder(ROOT / "sentences"), lambda: made.encode("a")
    else:
        from tallow.safetensors import save_file

        save_file({"w": tl.ones(600, 4)}, tmp_path / "w.safetensors")
        tokenizer = ROOT.parent / "models" / "llama"
        made = tl.Embedder(tmp_path / "w.safetensors", tokenizer=tokenizer)
        call = lambda: made.encode("a")  # noqa: E731
    with made:
        call()
    with pytest.raises(ModelError, match="expected an open model, got one that was closed"):
        call()
    made.close()
    assert repr(made).endswith("(closed)")


def test_what_fails_for_all_is_told_once(tmp_path):
    for name in ("config.json", "model.safetensors"):
        for task in ("images", "texts"):
            (tmp_path / task).mkdir(exist_ok=True)
            shutil.copy(ROOT / task / name, tmp_path / task / name)
    with pytest.raises(FormatError, match=r"preprocessor_config\.json: file: expected"):
        tl.ImageClassifier(tmp_path / "images")([PICTURE] * 3)
    with pytest.raises(ModelError, match="tokenizer: expected weights that come with one"):
        tl.TextClassifier(tmp_path / "texts")(["a", "b"])
    with pytest.raises(ModelError, match="num_labels: expected 1, found"):
        tl.Reranker(ROOT / "texts").rank("a", ["b", "c"])


def test_a_picture_that_cannot_be_resized_is_named(tmp_path):
    from PIL import Image

    Image.new("RGB", (30_000, 1)).save(tmp_path / "wide.png")
    detector = tl.Detector(FAMILIES / "detr", processor=DETR)
    with pytest.raises(ArgumentError, match=r"^/.*wide\.png: resize: expected at least one pixel"):
        detector(tmp_path / "wide.png")
    with pytest.raises(BatchError, match=r"item 1 \(.*wide\.png\): .*wide\.png: resize"):
        detector([PICTURE, tmp_path / "wide.png"])


def test_a_picture_without_room_costs_itself(classifier, monkeypatch):
    compute = classifier.compute

    def tight(prepared):
        if any(picture.width == 7 for picture in prepared):
            raise MemoryError
        return compute(prepared)

    monkeypatch.setattr(classifier, "compute", tight)
    with pytest.raises(BatchError, match="1 of 2 items failed") as caught:
        classifier([np.zeros((7, 7, 3), np.uint8), PICTURE])
    assert isinstance(caught.value.failures[0].error, tl.errors.OutOfMemoryError)
    assert caught.value.results[1] is not None


OPTIONS = {
    "top_k": ("ImageClassifier", {"top_k": 0}),
    "function_to_apply": ("ImageClassifier", {"function_to_apply": ["softmax"]}),
    "threshold": ("Detector", {"threshold": "high"}),
    "batch_size": ("ImageClassifier", {"batch_size": 0}),
}


@pytest.mark.parametrize("images", [[], [PICTURE]], ids=["none", "one"])
@pytest.mark.parametrize("name", OPTIONS)
def test_options_that_are_no_values(name, images):
    task, options = OPTIONS[name]
    folder = FAMILIES / "detr" if task == "Detector" else ROOT / "images"
    processor = {"processor": DETR} if task == "Detector" else {}
    made = getattr(tl, task)(folder, **processor)
    with pytest.raises(ArgumentError, match=f"^{name}: expected"):
        made(images, **options)


def test_options_of_texts():
    embedder, tokens = tl.Embedder(ROOT / "sentences"), tl.TokenClassifier(ROOT / "tokens")
    with pytest.raises(ArgumentError, match="prompt: expected a text, got int"):
        embedder.encode("a", prompt=7)
    with pytest.raises(ArgumentError, match="max_length: expected a number of at least 1, got 0"):
        tl.Embedder(ROOT / "sentences", max_length=0)
    kept = tokens(TEXTS[1], ignore_labels="PER")
    assert kept == tokens(TEXTS[1], ignore_labels=["PER"])
    assert tokens(LONG, aggregation_strategy="first")[-1].end <= len(LONG)


LABELS = [("cat", "text"), (None, "text"), ([7], "text, got int"), ([], "at least one"), (7, "")]


@pytest.mark.parametrize(("labels", "said"), LABELS, ids=str)
def test_labels_to_choose_from(labels, said):
    folder, processor = vision_model("clip")
    made = tl.ZeroShotImageClassifier(folder, processor=processor, tokenizer=ROOT / "texts")
    with pytest.raises(ArgumentError, match=f"candidate_labels: expected .*{said}"):
        made(PICTURE, labels)
    with pytest.raises(ArgumentError, match="hypothesis_template: expected a text with"):
        made(PICTURE, ["a"], hypothesis_template=7)
    with pytest.raises(ArgumentError, match="ZeroShotImageClassifier: expected labels"):
        made.stream([PICTURE])
