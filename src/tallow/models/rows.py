"""The rows of the table of families, as text that `table` reads."""

from __future__ import annotations

# model_type [= module]: architectures, the first of which stands where a checkpoint names none;
# `Architecture=Class` where the class has another name.
FAMILIES = """
albert: AlbertModel AlbertForPreTraining AlbertForMaskedLM AlbertForSequenceClassification
    AlbertForTokenClassification AlbertForQuestionAnswering AlbertForMultipleChoice
apertus: ApertusForCausalLM=Apertus ApertusModel ApertusForTokenClassification
arcee: ArceeForCausalLM=Arcee ArceeModel ArceeForSequenceClassification
    ArceeForTokenClassification ArceeForQuestionAnswering
baichuan: BaichuanForCausalLM=Baichuan BaichuanModel BaiChuanForCausalLM=Baichuan
bamba: BambaModel BambaForCausalLM
bart: BartModel BartForConditionalGeneration BartForSequenceClassification BartForCausalLM
beit: BeitModel BeitForImageClassification BeitForSemanticSegmentation BeitBackbone
bert: BertModel BertForPreTraining BertForMaskedLM BertForSequenceClassification
    BertForTokenClassification BertForQuestionAnswering BertForMultipleChoice
    BertForNextSentencePrediction BertLMHeadModel
bitnet: BitNetForCausalLM=BitNet BitNetModel BitnetForCausalLM=BitNet
bloom: BloomForCausalLM BloomModel
camembert = roberta: CamembertModel=RobertaModel CamembertForMaskedLM=RobertaForMaskedLM
    CamembertForSequenceClassification=RobertaForSequenceClassification
    CamembertForTokenClassification=RobertaForTokenClassification
    CamembertForQuestionAnswering=RobertaForQuestionAnswering
    CamembertForMultipleChoice=RobertaForMultipleChoice CamembertForCausalLM=RobertaForCausalLM
chatglm: ChatGLMForConditionalGeneration=ChatGLM ChatGLMModel
chinese_clip: ChineseCLIPModel
chinese_clip_text_model = bert: ChineseCLIPTextModel=BertModel
chinese_clip_vision_model = clip: ChineseCLIPVisionModel=CLIPVisionModel
clip: CLIPModel CLIPForImageClassification
clip_text_model = clip: CLIPTextModel CLIPTextModelWithProjection
clip_vision_model = clip: CLIPVisionModel CLIPVisionModelWithProjection
codegen: CodeGenForCausalLM CodeGenModel
cohere: CohereForCausalLM=Cohere CohereModel
cohere2 = cohere: Cohere2ForCausalLM=Cohere2 Cohere2Model
conditional_detr: ConditionalDetrModel ConditionalDetrForObjectDetection
convnext: ConvNextModel ConvNextForImageClassification ConvNextBackbone
convnextv2: ConvNextV2Model ConvNextV2ForImageClassification ConvNextV2Backbone
craft: CraftForTextDetection
crnn: CrnnForTextRecognition
dac: DacModel
data2vec-audio: Data2VecAudioModel Data2VecAudioForCTC Data2VecAudioForSequenceClassification
    Data2VecAudioForAudioFrameClassification Data2VecAudioForXVector
deberta: DebertaModel DebertaForMaskedLM DebertaForSequenceClassification
    DebertaForTokenClassification DebertaForQuestionAnswering
deberta-v2: DebertaV2Model DebertaV2ForMaskedLM DebertaV2ForSequenceClassification
    DebertaV2ForTokenClassification DebertaV2ForQuestionAnswering DebertaV2ForMultipleChoice
deepseek_v2: DeepseekV2ForCausalLM=DeepseekV2 DeepseekV2Model DeepseekV2ForSequenceClassification
deepseek_v3: DeepseekV3ForCausalLM=DeepseekV3 DeepseekV3Model DeepseekV3ForSequenceClassification
    DeepseekV3ForTokenClassification
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
dots1: Dots1ForCausalLM=Dots1 Dots1Model
efficientnet: EfficientNetModel EfficientNetForImageClassification
electra: ElectraModel ElectraForPreTraining ElectraForMaskedLM ElectraForSequenceClassification
    ElectraForTokenClassification ElectraForQuestionAnswering ElectraForMultipleChoice
    ElectraForCausalLM
encodec: EncodecModel
encoder-decoder: EncoderDecoderModel
ernie4_5: Ernie4_5ForCausalLM=Ernie Ernie4_5Model=ErnieModel
ernie4_5_moe: Ernie4_5_MoeForCausalLM=ErnieMoe Ernie4_5_MoeModel=ErnieMoeModel
eurobert: EuroBertModel EuroBertForMaskedLM EuroBertForSequenceClassification
    EuroBertForTokenClassification
exaone: ExaoneForCausalLM=Exaone ExaoneModel LlamaForCausalLM=Exaone
exaone4: Exaone4ForCausalLM=Exaone4 Exaone4Model Exaone4ForSequenceClassification
    Exaone4ForTokenClassification Exaone4ForQuestionAnswering
exaone_moe: ExaoneMoeForCausalLM=ExaoneMoe ExaoneMoeModel ExaoneMoEForCausalLM=ExaoneMoe
falcon: FalconForCausalLM FalconModel
falcon_mamba: FalconMambaModel FalconMambaForCausalLM
ge2e: Ge2eModel
gemma: GemmaModel GemmaForCausalLM=Gemma GemmaForSequenceClassification
    GemmaForTokenClassification
gemma2: Gemma2ForCausalLM=Gemma2 Gemma2Model Gemma2ForSequenceClassification
    Gemma2ForTokenClassification
gemma3: Gemma3ForConditionalGeneration
gemma3_text: Gemma3ForCausalLM=Gemma3 Gemma3TextModel Gemma3TextForSequenceClassification
gemma3n_text: Gemma3nForCausalLM=Gemma3n Gemma3nTextModel
gemma4_text: Gemma4ForCausalLM=Gemma4 Gemma4TextModel
glm: GlmForCausalLM=Glm GlmModel GlmForSequenceClassification GlmForTokenClassification
glm4 = glm: Glm4ForCausalLM=Glm4 Glm4Model Glm4ForSequenceClassification Glm4ForTokenClassification
glm4_moe: Glm4MoeForCausalLM=Glm4Moe Glm4MoeModel
gpt2: GPT2LMHeadModel GPT2Model GPT2ForSequenceClassification GPT2ForTokenClassification
    GPT2ForQuestionAnswering
gpt_bigcode: GPTBigCodeForCausalLM GPTBigCodeModel
gpt_neo: GPTNeoForCausalLM GPTNeoModel
gpt_neox: GPTNeoXForCausalLM GPTNeoXModel
gpt_oss: GptOssForCausalLM=GptOss GptOssModel GptOssForSequenceClassification
    GptOssForTokenClassification
gptj: GPTJForCausalLM GPTJModel
granite: GraniteForCausalLM=Granite GraniteModel
granite_swa = granite: GraniteSWAForCausalLM=GraniteSWA GraniteSWAModel
granitemoe: GraniteMoeForCausalLM=GraniteMoe GraniteMoeModel
granitemoehybrid: GraniteMoeHybridModel GraniteMoeHybridForCausalLM
helium: HeliumForCausalLM=Helium HeliumModel HeliumForSequenceClassification
    HeliumForTokenClassification
hiera: HieraModel HieraForImageClassification HieraBackbone
hubert: HubertModel HubertForCTC HubertForSequenceClassification
hunyuan_v1_dense: HunYuanDenseV1ForCausalLM=HunYuanDenseV1 HunYuanDenseV1Model
    HunYuanDenseV1ForSequenceClassification
hunyuan_v1_moe = hunyuan_v1_dense: HunYuanMoEV1ForCausalLM=HunYuanMoEV1 HunYuanMoEV1Model
    HunYuanMoEV1ForSequenceClassification
idefics3: Idefics3ForConditionalGeneration
internlm2: InternLM2ForCausalLM=InternLM2 InternLM2Model
internlm3: InternLM3ForCausalLM=InternLM3 InternLM3Model LlamaForCausalLM=InternLM3
    LlamaModel=InternLM3Model
jamba: JambaModel JambaForCausalLM
jina_bert: JinaBertModel JinaBertForMaskedLM JinaBertForSequenceClassification
    JinaBertForTokenClassification JinaBertForQuestionAnswering
jina_embeddings_v3: JinaEmbeddingsV3Model JinaEmbeddingsV3ForMaskedLM
    JinaEmbeddingsV3ForSequenceClassification JinaEmbeddingsV3ForTokenClassification
    JinaEmbeddingsV3ForQuestionAnswering
layoutlmv3: LayoutLMv3Model LayoutLMv3ForTokenClassification
    LayoutLMv3ForSequenceClassification LayoutLMv3ForQuestionAnswering
lfm2: Lfm2Model Lfm2ForCausalLM
lfm2_moe = lfm2: Lfm2MoeForCausalLM Lfm2MoeModel
llama: LlamaForCausalLM=Llama LlamaModel LlamaForSequenceClassification
    LlamaForTokenClassification LlamaForQuestionAnswering
llama4_text: Llama4ForCausalLM=Llama4 Llama4TextModel
llava: LlavaForConditionalGeneration
m2m_100: M2M100Model M2M100ForConditionalGeneration
mamba: MambaModel MambaForCausalLM
mamba2: Mamba2Model Mamba2ForCausalLM
marian: MarianModel MarianMTModel MarianForCausalLM
mbart: MBartModel MBartForConditionalGeneration MBartForSequenceClassification MBartForCausalLM
mimi: MimiModel
minicpm3: MiniCPM3ForCausalLM=MiniCPM3 MiniCPM3Model MiniCPM3ForSequenceClassification
minimax_m2: MiniMaxM2ForCausalLM=MiniMaxM2 MiniMaxM2Model
ministral: MinistralForCausalLM=Ministral MinistralModel MinistralForSequenceClassification
    MinistralForTokenClassification
mistral: MistralForCausalLM=Mistral MistralModel MistralForSequenceClassification
    MistralForTokenClassification MistralForQuestionAnswering
mistral3: Mistral3ForConditionalGeneration
mixtral: MixtralForCausalLM=Mixtral MixtralModel MixtralForSequenceClassification
    MixtralForTokenClassification MixtralForQuestionAnswering
mobile_sam: MobileSamModel
mobilenet_v1: MobileNetV1Model MobileNetV1ForImageClassification
mobilenet_v2: MobileNetV2Model MobileNetV2ForImageClassification MobileNetV2ForSemanticSegmentation
mobilevit: MobileViTModel MobileViTForImageClassification MobileViTForSemanticSegmentation
mobilevitv2: MobileViTV2Model MobileViTV2ForImageClassification MobileViTV2ForSemanticSegmentation
modernbert: ModernBertModel ModernBertForMaskedLM ModernBertForSequenceClassification
    ModernBertForTokenClassification ModernBertForQuestionAnswering ModernBertForMultipleChoice
moonshine: MoonshineModel MoonshineForConditionalGeneration
mpnet: MPNetModel MPNetForMaskedLM MPNetForSequenceClassification MPNetForTokenClassification
    MPNetForQuestionAnswering MPNetForMultipleChoice
mpt: MptForCausalLM MptModel
mt5: MT5Model MT5ForConditionalGeneration MT5EncoderModel MT5ForSequenceClassification
    MT5ForTokenClassification MT5ForQuestionAnswering
nemotron: NemotronForCausalLM=Nemotron NemotronModel NemotronForSequenceClassification
    NemotronForTokenClassification NemotronForQuestionAnswering
nemotron_h: NemotronHForCausalLM NemotronHModel
new: NewModel NewForMaskedLM NewForSequenceClassification NewForTokenClassification
    NewForQuestionAnswering NewForMultipleChoice
nomic_bert: NomicBertModel NomicBertForMaskedLM NomicBertForSequenceClassification
    NomicBertForTokenClassification
olmo: OlmoForCausalLM=Olmo OlmoModel OlmoForSequenceClassification
olmo2: Olmo2ForCausalLM=Olmo2 Olmo2Model Olmo2ForSequenceClassification
olmo3 = olmo2: Olmo3ForCausalLM=Olmo3 Olmo3Model Olmo3ForSequenceClassification
olmoe: OlmoeForCausalLM=Olmoe OlmoeModel
open_clip: OpenCLIPModel
paligemma: PaliGemmaForConditionalGeneration
pegasus: PegasusModel PegasusForConditionalGeneration PegasusForCausalLM
persimmon: PersimmonForCausalLM PersimmonModel
phi: PhiForCausalLM=Phi PhiModel PhiForSequenceClassification PhiForTokenClassification
phi3: Phi3ForCausalLM=Phi3 Phi3Model Phi3ForSequenceClassification Phi3ForTokenClassification
phimoe: PhimoeForCausalLM=Phimoe PhimoeModel
pixtral: PixtralVisionModel
qwen: QWenLMHeadModel=QWen QWenModel
qwen2: Qwen2ForCausalLM=Qwen2 Qwen2Model Qwen2ForSequenceClassification
    Qwen2ForTokenClassification Qwen2ForQuestionAnswering
qwen2_5_vl = qwen2_vl: Qwen2_5_VLForConditionalGeneration=Qwen25VLForConditionalGeneration
qwen2_moe: Qwen2MoeForCausalLM=Qwen2Moe Qwen2MoeModel Qwen2MoeForSequenceClassification
    Qwen2MoeForTokenClassification Qwen2MoeForQuestionAnswering
qwen2_vl: Qwen2VLForConditionalGeneration
qwen3: Qwen3ForCausalLM=Qwen3 Qwen3Model Qwen3ForSequenceClassification
    Qwen3ForTokenClassification Qwen3ForQuestionAnswering
qwen3_5_moe_text = qwen3_5: Qwen3_5MoeForCausalLM=Qwen35MoeForCausalLM
    Qwen3_5MoeTextModel=Qwen35MoeTextModel
qwen3_5_text = qwen3_5: Qwen3_5ForCausalLM=Qwen35ForCausalLM Qwen3_5TextModel=Qwen35TextModel
qwen3_moe: Qwen3MoeForCausalLM=Qwen3Moe Qwen3MoeModel Qwen3MoeForSequenceClassification
    Qwen3MoeForTokenClassification Qwen3MoeForQuestionAnswering
qwen3_next: Qwen3NextModel Qwen3NextForCausalLM
qwen3_vl: Qwen3VLForConditionalGeneration
recurrent_gemma: RecurrentGemmaModel RecurrentGemmaForCausalLM
regnet: RegNetModel RegNetForImageClassification
resnet: ResNetModel ResNetForImageClassification ResNetBackbone
roberta: RobertaModel RobertaForMaskedLM RobertaForSequenceClassification
    RobertaForTokenClassification RobertaForQuestionAnswering RobertaForMultipleChoice
    RobertaForCausalLM
rt_detr: RTDetrModel RTDetrForObjectDetection
rt_detr_resnet: RTDetrResNetBackbone
rt_detr_v2 = rt_detr: RTDetrV2Model RTDetrV2ForObjectDetection
rwkv: RwkvForCausalLM RwkvModel=PileModel
rwkv5 = rwkv6: Rwkv5ForCausalLM=Eagle Rwkv5Model=EagleModel
rwkv6: Rwkv6ForCausalLM=Finch Rwkv6Model=FinchModel
rwkv7: RWKV7ForCausalLM=Rwkv7ForCausalLM RWKV7Model=Rwkv7Model
sam: SamModel
sam_vision_model = sam: SamVisionModel
seed_oss: SeedOssForCausalLM=SeedOss SeedOssModel SeedOssForSequenceClassification
    SeedOssForTokenClassification SeedOssForQuestionAnswering
segformer: SegformerModel SegformerForImageClassification SegformerForSemanticSegmentation
siglip: SiglipModel SiglipForImageClassification
siglip2: Siglip2Model Siglip2ForImageClassification
siglip2_text_model = siglip2: Siglip2TextModel
siglip2_vision_model = siglip2: Siglip2VisionModel
siglip_text_model = siglip: SiglipTextModel
siglip_vision_model = siglip: SiglipVisionModel
silero_vad: SileroVadModel
smollm3: SmolLM3ForCausalLM=SmolLM3 SmolLM3Model SmolLM3ForSequenceClassification
    SmolLM3ForTokenClassification SmolLM3ForQuestionAnswering
smolvlm = idefics3: SmolVLMForConditionalGeneration
snac: SnacModel
stablelm: StableLmForCausalLM=StableLm StableLmModel StableLmForSequenceClassification
    StableLmForTokenClassification
starcoder2: Starcoder2ForCausalLM=Starcoder2 Starcoder2Model Starcoder2ForSequenceClassification
    Starcoder2ForTokenClassification
swin: SwinModel SwinForImageClassification SwinBackbone
swinv2: Swinv2Model Swinv2ForImageClassification Swinv2Backbone
t5: T5Model T5ForConditionalGeneration T5EncoderModel T5ForSequenceClassification
    T5ForTokenClassification T5ForQuestionAnswering
table-transformer: TableTransformerModel TableTransformerForObjectDetection
timm_backbone: TimmBackbone
timm_wrapper: TimmWrapperForImageClassification TimmWrapperModel
trocr: TrOCRForCausalLM
umt5: UMT5Model UMT5ForConditionalGeneration UMT5EncoderModel UMT5ForSequenceClassification
    UMT5ForTokenClassification UMT5ForQuestionAnswering
unispeech: UniSpeechModel UniSpeechForCTC UniSpeechForSequenceClassification
unispeech-sat = unispeech: UniSpeechSatModel UniSpeechSatForCTC
    UniSpeechSatForSequenceClassification UniSpeechSatForAudioFrameClassification
    UniSpeechSatForXVector
upernet: UperNetForSemanticSegmentation
vision-encoder-decoder: VisionEncoderDecoderModel
vit: ViTModel ViTForImageClassification
wav2vec2: Wav2Vec2Model Wav2Vec2ForCTC Wav2Vec2ForSequenceClassification
    Wav2Vec2ForAudioFrameClassification Wav2Vec2ForXVector
wavlm: WavLMModel WavLMForCTC WavLMForSequenceClassification WavLMForAudioFrameClassification
    WavLMForXVector
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
TIMM = """
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

# GGUF's `general.architecture`: the families that its files are read as. Of several the first
# counts whose condition holds: a key below the architecture's name is there and not 0, or has the
# value, or a tensor is there. Behind a stroke stands the class that such files hold.
GGUF = """
arcee: arcee
baichuan: baichuan
bitnet: bitnet
bloom: bloom
chatglm: chatglm
cohere2: cohere2
command-r: cohere
deepseek2: deepseek_v3 if expert_gating_func=2, deepseek_v2
dots1: dots1
ernie4_5: ernie4_5
ernie4_5-moe: ernie4_5_moe
exaone: exaone
exaone-moe: exaone_moe
exaone4: exaone4
falcon: falcon
gemma: gemma
gemma2: gemma2
gemma3: gemma3_text
gemma3n: gemma3n_text
gemma4: gemma4_text
glm4: glm4
glm4moe: glm4_moe
gpt-oss: gpt_oss
gpt2: gpt2
gptneox: gpt_neox
granite: granite
granite_swa: granite_swa
granitehybrid: granitemoehybrid
granitemoe: granitemoe
hunyuan-dense: hunyuan_v1_dense
hunyuan-moe: hunyuan_v1_moe
internlm2: internlm2
jamba: jamba
lfm2: lfm2
lfm2moe: lfm2_moe
llama: mixtral if expert_count, llama
llama4: llama4_text
mamba: falcon_mamba if ssm.dt_b_c_rms, mamba
mamba2: mamba2
minicpm3: minicpm3
minimax-m2: minimax_m2
mistral3: llama
mpt: mpt
nemotron: nemotron
nemotron_h: nemotron_h
nemotron_h_moe: nemotron_h
olmo: olmo
olmo2: olmo3 if attention.sliding_window, olmo2
olmoe: olmoe
phi2: phi
phi3: phi3
qwen: qwen
qwen2: qwen2
qwen2moe: qwen2_moe
qwen2vl: qwen2
qwen3: qwen3
qwen3moe: qwen3_moe
qwen3next: qwen3_next
qwen35: qwen3_5_text
qwen35moe: qwen3_5_moe_text
rwkv6: rwkv6
rwkv7: rwkv7
seed_oss: seed_oss
qwen3vl: qwen3
smollm3: smollm3
stablelm: stablelm
starcoder: gpt_bigcode
starcoder2: starcoder2
t5: umt5 if tensor enc.blk.1.attn_rel_b.weight, t5
t5encoder: umt5/UMT5EncoderModel if tensor enc.blk.1.attn_rel_b.weight, t5/T5EncoderModel
"""

# `clip.projector_type` of files with a tower and a projector: the families that they and the file
# of their text are read as, by keys below `clip.vision.`
PROJECTORS = """
gemma3: gemma3
idefics3: idefics3
mlp: llava
pixtral: mistral3 if spatial_merge_size, llava
qwen2.5vl_merger: qwen2_5_vl
qwen2vl_merger: qwen2_vl
qwen3vl_merger: qwen3_vl
"""

# Types of models with towers, of which the decoder of texts alone is read → its family.
TEXT_HALVES = {
    "gemma3n": "gemma3n_text",
    "gemma4": "gemma4_text",
    "llama4": "llama4_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
}
