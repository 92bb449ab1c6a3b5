"""Write docs/reference/families.md (family × check × lines) from a run of test_golden.py.

    families.py build/families.xml

Checks are the tests' own names; a cell tells how many of the family's goldens pass.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from fnmatch import fnmatch
from pathlib import Path

from tallow.models.families import __path__ as FOLDERS
from tallow.models.table import FAMILIES, GGUF_ARCHITECTURES, TIMM, Family

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "families.md"
CHECKS = {
    "test_outputs": "outputs",
    "test_gradients": "gradients",
    "test_batch_equals_singles": "batch = singles",
    "test_float_weights": "f16, bf16, f32",
    "test_quantised_weights": "q8_0",
    "test_names_are_the_checkpoints": "names",
    "test_save_and_load": "save, load",
    "test_captured": "plan",
    "test_generation": "generation",
    "test_what_does_not_fit_is_told_at_once": "mismatches",
}
HEAD = """# Families of models, and what is proven of each

Written by `make families` from the run of `tests/models/test_golden.py`: each golden is a tiny
checkpoint with re-drawn weights, whose outputs (within 1e-4) and gradients the reference computed
in f64 (`make golden`): transformers, timm, or, for GTE, Jina BERT, CRAFT, CRNN, ChatGLM, InternLM
2, Silero and GE2E, which neither has, published code restated in torch. A cell tells how many
goldens of the family pass; – means that the check has no sense for them (rows depend on each
other's padding, no matrix divides into blocks, nothing to generate). States and GGUF files of
decoders are tested in `tests/models`, too.
"""

# The modules of candle-transformers (huggingface/candle, candle-transformers/src/models/mod.rs at
# 00b0ab99); `name=ours` where the family has another name here. A `quantized_` module is its family
# here, where quantised is a dtype. Left out: `with_tracing`, which is no model.
CANDLE = """
based beit bert bigcode=gpt_bigcode blip blip_text chatglm chinese_clip clip codegeex4_9b=chatglm
colpali convmixer=timm convnext csm dac debertav2=deberta-v2 deepseek2=deepseek_v2
depth_anything_v2=depth_anything dinov2 dinov2reg4=dinov2_with_registers distilbert efficientnet
efficientvit=timm encodec eva2=timm:eva02 falcon fastvit=timm flux gemma gemma2 gemma3 glm4
glm4_new=glm4 granite granitemoehybrid helium hiera jina_bert llama llama2_c llama2_c_weights llava
mamba mamba2 marian metavoice mimi mistral mixformer mixtral mmdit mobileclip=open_clip
mobilenetv4=timm mobileone=timm modernbert moondream mpt nvembed_v2 olmo olmo2 openclip=open_clip
paddleocr_vl paligemma parler_tts persimmon phi phi3 pixtral quantized_blip quantized_blip_text
quantized_gemma3=gemma3_text quantized_glm4=glm4 quantized_lfm2=lfm2 quantized_llama=llama
quantized_llama2_c quantized_metavoice quantized_mistral=mistral quantized_mixformer
quantized_moondream quantized_mpt quantized_phi=phi quantized_phi3=phi3 quantized_qwen2=qwen2
quantized_qwen3=qwen3 quantized_qwen3_moe=qwen3_moe quantized_recurrent_gemma quantized_rwkv_v5
quantized_rwkv_v6 quantized_stable_lm quantized_t5 qwen2 qwen2_moe qwen3 qwen3_moe qwen3_tts
qwen3_vl recurrent_gemma repvgg=timm resnet rwkv_v5=rwkv5 rwkv_v6=rwkv6 segformer
segment_anything=sam siglip smol=smollm3 snac stable_diffusion stable_lm=stablelm starcoder2
stella_en_v5 t5 trocr vgg=timm vit voxtral whisper wuerstchen xlm_roberta=xlm-roberta yi=llama
z_image
"""


def beside_candle(timm: set[str]) -> list[str]:
    """The section that says which of candle's modules are here; `timm` are timm's names here."""
    here, not_yet = [], []
    for word in CANDLE.split():
        name, _, ours = word.partition("=")
        where, _, theirs = ours.partition(":")
        stem = theirs or name
        found = where == "timm" and any(
            fnmatch(f"{stem}_s", each) or each.startswith(stem) for each in timm
        )
        (here if found or (ours or name) in FAMILIES else not_yet).append(name)
    count = len(here) + len(not_yet)
    about = f"candle-transformers has {count} modules of models, none with a test of its outputs."
    ours = f"{len(here)} of them are here: {', '.join(here)}."
    rest = f"Not yet: {', '.join(not_yet)}."
    return ["", "## Beside candle", "", f"{about} {ours}", "", rest]


# Architectures of llama.cpp that are no models of their own here: what a file of them is part of.
NO_MODELS = {"clip", "gemma4-assistant", "wavtokenizer-dec"}


def beside_llama_cpp() -> list[str]:
    """The section that says which architectures of llama.cpp's files (the gguf package) load."""
    import gguf

    names = sorted(set(gguf.MODEL_ARCH_NAMES.values()) - NO_MODELS)
    loads = [name for name in names if name in GGUF_ARCHITECTURES]
    plain = {name.replace("_", "").replace("-", "") for name in FAMILIES}
    folders = [
        name
        for name in names
        if name not in loads and name.replace("_", "").replace("-", "") in plain
    ]
    rest = [name for name in names if name not in loads and name not in folders]
    return [
        "",
        "## Beside llama.cpp",
        "",
        f"The gguf package names {len(names)} architectures of models. Their files load here, are",
        "written by `tallow convert`, and give llama.cpp's logits and tokens",
        f"(`tests/models/test_gguf_families.py`), for {len(loads)}: {', '.join(loads)}.",
        "",
        f"As folders of Hugging Face alone: {', '.join(folders)}.",
        "",
        f"Not yet: {', '.join(rest)}.",
    ]


def results(path: Path) -> dict[str, dict[str, list[str]]]:
    """Case → check → outcomes."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for case in ET.parse(path).iter("testcase"):
        name, _, rest = case.get("name", "").partition("[")
        if name not in CHECKS or not rest:
            continue
        kinds = {child.tag for child in case}
        outcome = (
            "failed" if kinds & {"failure", "error"} else "none" if "skipped" in kinds else "passed"
        )
        golden = re.split(r"[\]]", rest)[0]
        golden = re.sub(r"-(f16|bf16|f32)$|^(f16|bf16|f32)-", "", golden)
        found[golden.split("-")[0]][CHECKS[name]].append(outcome)
    return found


def family_of(case: str) -> Family | None:
    """The row of the table that a golden belongs to, by its config."""
    import json

    path = ROOT / "tests" / "golden" / "families" / case / "config.json"
    config = json.loads(path.read_text()) if path.is_file() else {}
    kind = config.get("model_type", "timm_wrapper" if "architecture" in config else None)
    return FAMILIES.get(kind)


def cell(outcomes: list[str]) -> str:
    counted = [each for each in outcomes if each != "none"]
    if not counted:
        return "–"
    passed = counted.count("passed")
    return f"{passed}" if passed == len(counted) else f"**{passed} of {len(counted)}**"


def main() -> None:
    rows: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    goldens: dict[str, int] = defaultdict(int)
    for case, checks in results(Path(sys.argv[1])).items():
        row = family_of(case)
        if row is None:
            continue
        goldens[row.name] += 1
        for check, outcomes in checks.items():
            rows[row.name][check] += outcomes
    titles = list(CHECKS.values())
    lines = [HEAD, "| family | goldens | " + " | ".join(titles) + " | lines |"]
    lines.append("|---|" + "---:|" * (len(titles) + 2))
    for name in sorted(rows):
        cells = [cell(rows[name][title]) for title in titles]
        file = Path(FOLDERS[0]) / f"{FAMILIES[name].file}.py"
        count = len(file.read_text(encoding="utf-8").splitlines())
        lines.append(f"| {name} | {goldens[name]} | " + " | ".join(cells) + f" | {count} |")
    lines += beside_candle({pattern for row in TIMM for pattern in row.patterns})
    lines += beside_llama_cpp()
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(rows)} families, {sum(goldens.values())} goldens")


if __name__ == "__main__":
    main()
