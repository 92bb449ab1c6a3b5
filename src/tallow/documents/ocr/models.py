"""The sets of packaged models that read text: files, characters, how pictures are prepared."""

from __future__ import annotations

from functools import lru_cache

from tallow.documents import sessions
from tallow.errors import ArgumentError
from tallow.lazy_dataclasses import dataclass


@dataclass(frozen=True)
class ModelSet:
    """Models of PP-OCR that belong together.

    `characters` says where the recogniser's characters stand: its own metadata, or a file beside
    it. `threshold`, `box_threshold` and `unclip` are of the detector's map (inference.yml).
    """

    ref: str
    detection: str
    recognition: str
    characters: str = ""
    threshold: float = 0.2
    box_threshold: float = 0.4
    unclip: float = 1.4


MODEL_SETS = {
    "small": ModelSet("ppocr", "PP-OCRv6_det_small.onnx", "PP-OCRv6_rec_small.onnx"),
    "tiny": ModelSet("ppocr-tiny", "det/det.onnx", "rec/rec.onnx", "rec/inference.yml"),
    "v5": ModelSet("ppocr-v5", "det/det.onnx", "rec/rec.onnx", "", 0.3, 0.6, 1.5),
}
"""PP-OCRv6 small and tiny, and PP-OCRv5 mobile, by the name that `OCR` takes."""

DIRECTION = ("ppocr", "ch_ppocr_mobile_v2.0_cls_mobile.onnx")
"""Whether a line stands on its head."""


def model_set(name: str) -> ModelSet:
    """The set of a name, or of an alias.

    Raises:
        ArgumentError: there is none.
    """
    found = MODEL_SETS.get(name)
    if found is None:
        found = next((each for each in MODEL_SETS.values() if each.ref == name), None)
    if found is None:
        raise ArgumentError(f"OCR: expected models of {', '.join(MODEL_SETS)}, got {name!r}")
    return found


@lru_cache(maxsize=8)
def characters(chosen: ModelSet) -> tuple[str, ...]:
    """What each output of a recogniser means: "" of none (CTC's blank), the characters, a space.

    Raises:
        HubError, FormatError: as `tallow.hub.resolve` and `tallow.onnx.load`.
    """
    from tallow.errors import FormatError
    from tallow.hub import resolve

    if chosen.characters:
        path = resolve(chosen.ref) / chosen.characters
        found = listed_characters(path.read_text("utf-8"))
        where = str(path)
    else:
        text = sessions.metadata(chosen.ref, chosen.recognition).get("character", "")
        found = text.split("\n")[: text.count("\n") + (not text.endswith("\n"))]
        where = f"{chosen.ref}/{chosen.recognition}"
    if not any(found):
        raise FormatError(where, "character", "the characters of the recogniser", "none")
    return ("", *found, " ")


def listed_characters(text: str) -> list[str]:
    """The list `character_dict` of an inference.yml, which holds plain and quoted scalars only."""
    lines = text.split("\n")
    at = next((i for i, line in enumerate(lines) if line.strip() == "character_dict:"), len(lines))
    found: list[str] = []
    for line in lines[at + 1 :]:
        stripped = line.lstrip(" ")
        if not stripped.startswith("- "):
            break
        found.append(_scalar(stripped[2:]))
    return found


def _scalar(text: str) -> str:
    """A scalar of YAML in one line (YAML 1.2, 7.3)."""
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if len(text) >= 2 and text[0] == text[-1] == '"':
        import json

        return str(json.loads(text)) if "\\x" not in text else chr(int(text[3:-1], 16))
    return text
