"""The table of families, as text: `model_type` → classes and the module that has them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tallow.errors import ModelError
from tallow.lazy_dataclasses import dataclass

if TYPE_CHECKING:
    from tallow.models.base import Model
    from tallow.models.gguf_layout import GGUFLayout

# model_type [= module]: architectures, the first of which stands where a checkpoint names none;
# `Architecture=Class` where the class has another name.
_FAMILIES = """
albert: AlbertModel AlbertForPreTraining AlbertForMaskedLM AlbertForSequenceClassification
    AlbertForTokenClassification AlbertForQuestionAnswering AlbertForMultipleChoice
bart: BartModel BartForConditionalGeneration BartForSequenceClassification BartForCausalLM
beit: BeitModel BeitForImageClassification BeitForSemanticSegmentation BeitBackbone
bert: BertModel BertForPreTraining BertForMaskedLM BertForSequenceClassification
    BertForTokenClassification BertForQuestionAnswering BertForMultipleChoice
    BertForNextSentencePrediction BertLMHeadModel
camembert = roberta: CamembertModel=RobertaModel CamembertForMaskedLM=RobertaForMaskedLM
    CamembertForSequenceClassification=RobertaForSequenceClassification
    CamembertForTokenClassification=RobertaForTokenClassification
    CamembertForQuestionAnswering=RobertaForQuestionAnswering
    CamembertForMultipleChoice=RobertaForMultipleChoice CamembertForCausalLM=RobertaForCausalLM
chinese_clip: ChineseCLIPModel
chinese_clip_text_model = bert: ChineseCLIPTextModel=BertModel
chinese_clip_vision_model = clip: ChineseCLIPVisionModel=CLIPVisionModel
clip: CLIPModel CLIPForImageClassification
clip_text_model = clip: CLIPTextModel CLIPTextModelWithProjection
clip_vision_model = clip: CLIPVisionModel CLIPVisionModelWithProjection
conditional_detr: ConditionalDetrModel ConditionalDetrForObjectDetection
convnext: ConvNextModel ConvNextForImageClassification ConvNextBackbone
convnextv2: ConvNextV2Model ConvNextV2ForImageClassification ConvNextV2Backbone
craft: CraftForTextDetection
crnn: CrnnForTextRecognition
deberta: DebertaModel DebertaForMaskedLM DebertaForSequenceClassification
    DebertaForTokenClassification DebertaForQuestionAnswering
deberta-v2: DebertaV2Model DebertaV2ForMaskedLM DebertaV2ForSequenceClassification
    DebertaV2ForTokenClassification DebertaV2ForQuestionAnswering DebertaV2ForMultipleChoice
deit: DeiTModel DeiTForImageClassification DeiTForImageClassificationWithTeacher
depth_anything: DepthAnythingForDepthEstimation
detr: DetrModel DetrForObjectDetection DetrForSegmentation
dinov2: Dinov2Model Dinov2ForImageClassification Dinov2Backbone
dinov2_with_registers = dinov2: Dinov2WithRegistersModel
    Dinov2WithRegistersForImageClassification Dinov2WithRegistersBackbone
dinov3_vit: DINOv3ViTModel DINOv3ViTBackbone
distilbert: DistilBertModel DistilBertForMaskedLM DistilBertForSequenceClassification
    DistilBertForTokenClassification DistilBertForQuestionAnswering DistilBertForMultipleChoice
donut-swin: DonutSwinModel DonutSwinForImageClassification
efficientnet: EfficientNetModel EfficientNetForImageClassification
electra: ElectraModel ElectraForPreTraining ElectraForMaskedLM ElectraForSequenceClassification
    ElectraForTokenClassification ElectraForQuestionAnswering ElectraForMultipleChoice
    ElectraForCausalLM
encoder-decoder: EncoderDecoderModel
eurobert: EuroBertModel EuroBertForMaskedLM EuroBertForSequenceClassification
    EuroBertForTokenClassification
gemma: GemmaModel GemmaForCausalLM=Gemma GemmaForSequenceClassification
    GemmaForTokenClassification
gpt2: GPT2LMHeadModel GPT2Model GPT2ForSequenceClassification GPT2ForTokenClassification
    GPT2ForQuestionAnswering
hiera: HieraModel HieraForImageClassification HieraBackbone
jina_bert: JinaBertModel JinaBertForMaskedLM JinaBertForSequenceClassification
    JinaBertForTokenClassification JinaBertForQuestionAnswering
jina_embeddings_v3: JinaEmbeddingsV3Model JinaEmbeddingsV3ForMaskedLM
    JinaEmbeddingsV3ForSequenceClassification JinaEmbeddingsV3ForTokenClassification
    JinaEmbeddingsV3ForQuestionAnswering
layoutlmv3: LayoutLMv3Model LayoutLMv3ForTokenClassification
    LayoutLMv3ForSequenceClassification LayoutLMv3ForQuestionAnswering
llama: LlamaForCausalLM=Llama LlamaModel LlamaForSequenceClassification
    LlamaForTokenClassification LlamaForQuestionAnswering
mbart: MBartModel MBartForConditionalGeneration MBartForSequenceClassification MBartForCausalLM
mistral: MistralForCausalLM=Mistral MistralModel MistralForSequenceClassification
    MistralForTokenClassification MistralForQuestionAnswering
mobile_sam: MobileSamModel
mobilenet_v1: MobileNetV1Model MobileNetV1ForImageClassification
mobilenet_v2: MobileNetV2Model MobileNetV2ForImageClassification MobileNetV2ForSemanticSegmentation
mobilevit: MobileViTModel MobileViTForImageClassification MobileViTForSemanticSegmentation
mobilevitv2: MobileViTV2Model MobileViTV2ForImageClassification MobileViTV2ForSemanticSegmentation
modernbert: ModernBertModel ModernBertForMaskedLM ModernBertForSequenceClassification
    ModernBertForTokenClassification ModernBertForQuestionAnswering ModernBertForMultipleChoice
mpnet: MPNetModel MPNetForMaskedLM MPNetForSequenceClassification MPNetForTokenClassification
    MPNetForQuestionAnswering MPNetForMultipleChoice
new: NewModel NewForMaskedLM NewForSequenceClassification NewForTokenClassification
    NewForQuestionAnswering NewForMultipleChoice
nomic_bert: NomicBertModel NomicBertForMaskedLM NomicBertForSequenceClassification
    NomicBertForTokenClassification
open_clip: OpenCLIPModel
qwen2: Qwen2ForCausalLM=Qwen2 Qwen2Model Qwen2ForSequenceClassification
    Qwen2ForTokenClassification Qwen2ForQuestionAnswering
qwen3: Qwen3ForCausalLM=Qwen3 Qwen3Model Qwen3ForSequenceClassification
    Qwen3ForTokenClassification Qwen3ForQuestionAnswering
regnet: RegNetModel RegNetForImageClassification
resnet: ResNetModel ResNetForImageClassification ResNetBackbone
roberta: RobertaModel RobertaForMaskedLM RobertaForSequenceClassification
    RobertaForTokenClassification RobertaForQuestionAnswering RobertaForMultipleChoice
    RobertaForCausalLM
rt_detr: RTDetrModel RTDetrForObjectDetection
rt_detr_resnet: RTDetrResNetBackbone
rt_detr_v2 = rt_detr: RTDetrV2Model RTDetrV2ForObjectDetection
sam: SamModel
sam_vision_model = sam: SamVisionModel
segformer: SegformerModel SegformerForImageClassification SegformerForSemanticSegmentation
siglip: SiglipModel SiglipForImageClassification
siglip2: Siglip2Model Siglip2ForImageClassification
siglip2_text_model = siglip2: Siglip2TextModel
siglip2_vision_model = siglip2: Siglip2VisionModel
siglip_text_model = siglip: SiglipTextModel
siglip_vision_model = siglip: SiglipVisionModel
swin: SwinModel SwinForImageClassification SwinBackbone
swinv2: Swinv2Model Swinv2ForImageClassification Swinv2Backbone
table-transformer: TableTransformerModel TableTransformerForObjectDetection
timm_backbone: TimmBackbone
timm_wrapper: TimmWrapperForImageClassification TimmWrapperModel
trocr: TrOCRForCausalLM
upernet: UperNetForSemanticSegmentation
vision-encoder-decoder: VisionEncoderDecoderModel
vit: ViTModel ViTForImageClassification
whisper: WhisperModel WhisperForConditionalGeneration WhisperForAudioClassification
xlm-roberta = roberta: XLMRobertaModel=RobertaModel XLMRobertaForMaskedLM=RobertaForMaskedLM
    XLMRobertaForSequenceClassification=RobertaForSequenceClassification
    XLMRobertaForTokenClassification=RobertaForTokenClassification
    XLMRobertaForQuestionAnswering=RobertaForQuestionAnswering
    XLMRobertaForMultipleChoice=RobertaForMultipleChoice XLMRobertaForCausalLM=RobertaForCausalLM
yolos: YolosModel YolosForObjectDetection
"""

# Patterns of timm's names: module and class. They count where a config has an `architecture` and no
# `model_type`, and behind `timm_wrapper`.
_TIMM = """
convnext_* convnextv2_*: timm_convnext TimmConvNext
convmixer_*: timm_convmixer TimmConvMixer
efficientvit_b[0-9]: timm_efficientvit_mit TimmEfficientVitMit
efficientvit_l[0-9]: timm_efficientvit_mit TimmEfficientVitLarge
efficientvit_m[0-9]: timm_efficientvit TimmEfficientVit
fastvit_*: timm_fastvit TimmFastVit
mobileone_* repvgg_*: timm_byob TimmByob
eva02_*_patch14_??? eva_giant_patch14_???: timm_eva TimmEva
mobilenetv[1-4]_* tf_mobilenetv3_* efficientnet_* tf_efficientnet_* efficientnetv2_*
    tf_efficientnetv2_*: timm_mobilenet TimmMobileNet
resnet[1-9]* wide_resnet* resnext[1-9]* test_resnet: timm_resnet TimmResNet
tiny_vit_*: timm_tiny_vit TimmTinyVit
vgg[0-9]*: timm_vgg TimmVGG
vit_* deit_* deit3_*: timm_vit TimmVit
"""

# GGUF's `general.architecture` → the family that it is read as.
GGUF_ARCHITECTURES = {name: name for name in ("llama", "qwen2", "qwen3")}

# What `task=` asks for → how the names of such architectures end. Names are those of
# transformers' pipelines, and `embedding`: the model without a head.
TASKS: dict[str, tuple[str, ...]] = {
    "embedding": ("Model",),
    "feature-extraction": ("Model",),
    "fill-mask": ("ForMaskedLM",),
    "text-classification": ("ForSequenceClassification",),
    "reranking": ("ForSequenceClassification",),
    "token-classification": ("ForTokenClassification",),
    "question-answering": ("ForQuestionAnswering",),
    "multiple-choice": ("ForMultipleChoice",),
    "text-generation": ("ForCausalLM", "LMHeadModel"),
    "image-classification": ("ForImageClassification", "ForImageClassificationWithTeacher"),
    "zero-shot-image-classification": ("Model",),
    "object-detection": ("ForObjectDetection",),
    "image-segmentation": ("ForSemanticSegmentation", "ForSegmentation"),
    "depth-estimation": ("ForDepthEstimation",),
    "mask-generation": ("SamModel",),
    "image-to-text": ("VisionEncoderDecoderModel", "ForConditionalGeneration"),
    "translation": ("ForConditionalGeneration", "EncoderDecoderModel"),
    "summarization": ("ForConditionalGeneration", "EncoderDecoderModel"),
    "text2text-generation": ("ForConditionalGeneration", "EncoderDecoderModel"),
    "automatic-speech-recognition": ("ForConditionalGeneration",),
    "audio-classification": ("ForAudioClassification",),
    "backbone": ("Backbone",),
}


@dataclass(frozen=True)
class Family:
    """A row of the table: `name` is Hugging Face's `model_type`."""

    name: str
    file: str
    classes: Mapping[str, str]  # architecture → class

    @cached_property
    def module(self) -> Any:
        """The family's module."""
        return import_module(f"tallow.models.families.{self.file}")

    @property
    def model(self) -> type[Model]:
        """The class of a checkpoint that names none."""
        return self.of(next(iter(self.classes)))

    @property
    def config(self) -> Any:
        """The class of the family's configs."""
        return self.model.config_class

    @property
    def gguf(self) -> GGUFLayout | None:
        """How the family stands in GGUF files; None where it does not."""
        return getattr(self.module, "GGUF", None)

    def of(self, architecture: str) -> type[Model]:
        """The class of an architecture of this family."""
        return getattr(self.module, self.classes[architecture])

    def architecture(self, model: type[Model]) -> str:
        """The architecture that a class of this family stands for."""
        return next((name for name in self.classes if self.of(name) is model), model.__name__)

    def for_task(self, task: str) -> type[Model] | None:
        """The class that a task needs, None where the family has none."""
        for ending in TASKS[task]:
            for architecture in self.classes:
                if architecture.endswith(ending):
                    return self.of(architecture)
        return None


@dataclass(frozen=True)
class TimmFamily(Family):
    """A row of timm's names, each of which has a class for every task of image models."""

    patterns: tuple[str, ...] = ()

    @cached_property
    def views(self) -> Mapping[str, type[Model]]:
        """The class that classifies, and its views for other tasks."""
        from tallow.models.timm import view

        return {kind: view(getattr(self.module, name), kind) for kind, name in self.classes.items()}

    def of(self, architecture: str) -> type[Model]:
        """The class that classifies, or its view for another task."""
        return self.views[architecture]


def find_timm(name: object, where: str) -> TimmFamily:
    """The row of a name of timm's registry, with or without the tag of its weights.

    Raises:
        ModelError: there is none.
    """
    given = name.partition(".")[0] if isinstance(name, str) else ""
    for row in TIMM:
        if any(fnmatch.fnmatchcase(given, pattern) for pattern in row.patterns):
            return row
    known = ", ".join(pattern for row in TIMM for pattern in row.patterns)
    raise ModelError(f"{where}: expected one of timm's names {known}, found {name!r}")


def find(name: object, known: Mapping[str, Any], where: str) -> Any:
    """The row of a name.

    Raises:
        ModelError: there is none; near names are told.
    """
    found = known.get(name) if isinstance(name, str) else None
    if found is None:
        from difflib import get_close_matches

        near = get_close_matches(str(name), known, n=5, cutoff=0.6)
        listed = (f"near: {', '.join(near)}; all: " if near else "") + ", ".join(sorted(known))
        raise ModelError(f"{where}: expected one of the known families ({listed}), found {name!r}")
    return found


def choose(row: Family, architectures: object, task: str | None, where: str) -> type[Model]:
    """The class for a checkpoint: the one that it was saved for, or another that `task` needs.

    Raises:
        ModelError: the family has no class for the task or the architecture.
    """
    have = f"{', '.join(row.classes)} ({row.name})"
    listed = architectures if isinstance(architectures, list) else [architectures]
    names = [name for name in listed if isinstance(name, str) and name in row.classes]
    if task is not None:
        endings = find(task, TASKS, f"{where}: task")
        saved = next((name for name in names if name.endswith(endings)), None)
        found = row.for_task(task) if saved is None else row.of(saved)
        if found is None:
            raise ModelError(f"{where}: task: expected one of {have}, found none for {task!r}")
        return found
    if architectures in (None, [], ()):
        return row.model
    if names:
        return row.of(names[0])
    raise ModelError(
        f"{where}: architectures: expected one of {have}, found {listed}; "
        "task='embedding' takes the model without a head"
    )


def _families() -> dict[str, Family]:
    rows: dict[str, Family] = {}
    for line in _FAMILIES.replace("\n    ", " ").strip().splitlines():
        head, _, rest = line.partition(":")
        name, _, file = (part.strip() for part in head.partition("="))
        pairs = (each.partition("=") for each in rest.split())
        classes = {architecture: other or architecture for architecture, _, other in pairs}
        rows[name] = Family(name, file or name.replace("-", "_"), classes)
    return rows


def _timm() -> tuple[TimmFamily, ...]:
    rows = []
    for line in _TIMM.replace("\n    ", " ").strip().splitlines():
        patterns, _, rest = line.partition(":")
        file, name = rest.split()
        kinds = dict.fromkeys(("ForImageClassification", "Model", "Backbone"), name)
        rows.append(TimmFamily(file, file, kinds, tuple(patterns.split())))
    return tuple(rows)


FAMILIES: Mapping[str, Family] = _families()
TIMM: tuple[TimmFamily, ...] = _timm()
