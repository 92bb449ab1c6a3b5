"""The language and speech models of bench/families.py: configurations of a middle size each."""

from __future__ import annotations

from typing import Any, NamedTuple

IDS, SECONDS = (4, 64), 2


class Row(NamedTuple):
    """A model of transformers by its classes, the values of its config, and what it is given."""

    config: str
    model: str
    values: dict[str, Any]
    shape: tuple[int, ...]
    key: str = "input_ids"


DECODER = {
    "vocab_size": 8000, "hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 4,
    "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 64,
    "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
GPT = {
    "vocab_size": 8000, "n_embd": 384, "n_layer": 4, "n_head": 6, "n_positions": 512,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
EXPERTS = {"num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 256}
LOCAL_EXPERTS = {"num_local_experts": 16, "num_experts_per_tok": 4, "intermediate_size": 256}
ROUTED = {
    "n_routed_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 256,
    "n_shared_experts": 1, "first_k_dense_replace": 1,
}  # fmt: skip
LATENT_SIZES = {
    "q_lora_rank": 192, "kv_lora_rank": 128, "qk_rope_head_dim": 32, "qk_nope_head_dim": 64,
    "v_head_dim": 64, "head_dim": 32, "num_key_value_heads": 6,
}  # fmt: skip
LATENT = {
    **LATENT_SIZES, "n_routed_experts": 16, "num_experts_per_tok": 4,
    "moe_intermediate_size": 256, "n_shared_experts": 1, "n_group": 4, "topk_group": 2,
    "first_k_dense_replace": 1, "topk_method": "group_limited_greedy",
}  # fmt: skip
SPEECH = {
    "hidden_size": 384, "num_hidden_layers": 4, "num_attention_heads": 6, "intermediate_size": 1536,
    "num_conv_pos_embeddings": 64, "apply_spec_augment": False, "vocab_size": 64,
}  # fmt: skip
WAVE = ((1, 16000 * SECONDS), "input_values")


def decoder(prefix: str, text: str = "", drop: tuple[str, ...] = (), **values: Any) -> Row:
    """A decoder without its head; `drop` names keys that its config does not have."""
    given = {key: value for key, value in {**DECODER, **values}.items() if key not in drop}
    return Row(f"{prefix}{text}Config", f"{prefix}{text}Model", given, IDS)


def gpt(prefix: str, **values: Any) -> Row:
    """A decoder whose config has GPT-2's names."""
    return Row(f"{prefix}Config", f"{prefix}Model", {**GPT, **values}, IDS)


LANGUAGE: dict[str, Row] = {
    **{
        name: decoder(prefix)
        for name, prefix in (
            ("llama", "Llama"), ("mistral", "Mistral"), ("ministral", "Ministral"),
            ("qwen2", "Qwen2"), ("qwen3", "Qwen3"), ("gemma", "Gemma"), ("phi3", "Phi3"),
            ("olmo", "Olmo"), ("olmo2", "Olmo2"), ("olmo3", "Olmo3"), ("granite", "Granite"),
            ("cohere", "Cohere"), ("cohere2", "Cohere2"), ("glm", "Glm"), ("glm4", "Glm4"),
            ("smollm3", "SmolLM3"), ("starcoder2", "Starcoder2"), ("stablelm", "StableLm"),
            ("nemotron", "Nemotron"), ("helium", "Helium"), ("exaone4", "Exaone4"),
            ("seed_oss", "SeedOss"), ("arcee", "Arcee"), ("apertus", "Apertus"),
            ("ernie4_5", "Ernie4_5"), ("hunyuan_v1_dense", "HunYuanDenseV1"), ("phi", "Phi"),
                    )
    },
    "gemma2": decoder("Gemma2", query_pre_attn_scalar=64, sliding_window=48),
    "gemma3_text": decoder("Gemma3", "Text", query_pre_attn_scalar=64, sliding_window=48),
    "gemma3n_text": decoder(
        "Gemma3n", "Text", sliding_window=48, num_kv_shared_layers=2,
        hidden_size_per_layer_input=64,
        layer_types=["sliding_attention", "full_attention"] * 2, vocab_size_per_layer_input=8000,
    ),
    "gemma4_text": decoder(
        "Gemma4", "Text", sliding_window=48, num_kv_shared_layers=2, global_head_dim=128,
        hidden_size_per_layer_input=64, vocab_size_per_layer_input=8000,
        layer_types=["sliding_attention", "full_attention"] * 2,
    ),
    "mixtral": decoder("Mixtral", **LOCAL_EXPERTS),
    "olmoe": decoder("Olmoe", num_experts=16, num_experts_per_tok=4, intermediate_size=256),
    "qwen2_moe": decoder("Qwen2Moe", **EXPERTS, shared_expert_intermediate_size=256),
    "qwen3_moe": decoder("Qwen3Moe", **EXPERTS),
    "granitemoe": decoder("GraniteMoe", **LOCAL_EXPERTS),
    "gpt_oss": decoder("GptOss", **LOCAL_EXPERTS, sliding_window=48),
    "deepseek_v2": decoder("DeepseekV2", **LATENT),
    "minicpm3": decoder("MiniCPM3", **LATENT_SIZES),
    "deepseek_v3": decoder("DeepseekV3", drop=("topk_method",), **LATENT),
    "bitnet": decoder("BitNet", drop=("head_dim",)),
    "hunyuan_v1_moe": decoder(
        "HunYuanMoEV1", num_experts=16, moe_topk=4, intermediate_size=256
    ),
    "granite_swa": decoder("GraniteSWA", sliding_window=48),
    "dots1": decoder("Dots1", **ROUTED),
    "exaone_moe": decoder("ExaoneMoe", **EXPERTS, sliding_window=48),
    "minimax_m2": decoder("MiniMaxM2", **LOCAL_EXPERTS, rotary_dim=32),
    "glm4_moe": decoder("Glm4Moe", **ROUTED, use_qk_norm=True),
    "phimoe": decoder("Phimoe", **{**LOCAL_EXPERTS, "num_experts_per_tok": 2}),
    "ernie4_5_moe": decoder(
        "Ernie4_5_Moe", moe_num_experts=16, moe_k=4, moe_intermediate_size=256,
        moe_num_shared_experts=1,
    ),
    "llama4_text": Row(
        "Llama4TextConfig", "Llama4TextModel",
        {**DECODER, **LOCAL_EXPERTS, "intermediate_size_mlp": 1024, "attention_chunk_size": 48,
         "interleave_moe_layer_step": 2, "num_experts_per_tok": 1},
        IDS,
    ),
    "gpt2": gpt("GPT2"),
    "gptj": gpt("GPTJ", rotary_dim=32),
    "codegen": gpt("CodeGen", rotary_dim=32, n_head=8),
    "gpt_bigcode": gpt("GPTBigCode"),
    "gpt_neo": decoder(
        "GPTNeo", drop=("num_key_value_heads", "head_dim", "num_hidden_layers"), num_layers=4,
        num_heads=6, attention_types=[[["global", "local"], 2]], window_size=48,
    ),
    "bloom": gpt("Bloom", hidden_size=384),
    "falcon": decoder("Falcon", drop=("head_dim",), multi_query=True, bias=False),
    "mpt": Row(
        "MptConfig", "MptModel",
        {"vocab_size": 8000, "d_model": 384, "n_layers": 4, "n_heads": 6, "max_seq_len": 512},
        IDS,
    ),
    "gpt_neox": decoder("GPTNeoX", drop=("num_key_value_heads",)),
    "persimmon": decoder("Persimmon", drop=("num_key_value_heads",)),
    "mamba": decoder("Mamba", drop=("intermediate_size",), state_size=16),
    "rwkv": Row(
        "RwkvConfig", "RwkvModel",
        {"vocab_size": 8000, "hidden_size": 384, "num_hidden_layers": 4, "intermediate_size": 1024},
        IDS,
    ),
    "mamba2": decoder("Mamba2", num_heads=12, head_dim=64, n_groups=1, state_size=64),
    "falcon_mamba": decoder("FalconMamba", drop=("intermediate_size",), state_size=16),
    "jamba": decoder(
        "Jamba", num_experts=8, attn_layer_period=4, attn_layer_offset=2, use_mamba_kernels=False
    ),
    "nemotron_h": decoder(
        "NemotronH", drop=("num_hidden_layers",), layers_block_type=["linear_attention", "mlp"] * 2,
        mamba_num_heads=12, mamba_head_dim=64, n_groups=1, ssm_state_size=64,
    ),
    "lfm2": decoder("Lfm2"),
    "lfm2_moe": decoder("Lfm2Moe", drop=("head_dim",), **EXPERTS, num_dense_layers=1),
    "recurrent_gemma": decoder("RecurrentGemma", attention_window_size=48),
    "qwen3_5_text": decoder("Qwen3_5", "Text"),
    "qwen3_5_moe_text": decoder(
        "Qwen3_5Moe", "Text", **EXPERTS, shared_expert_intermediate_size=256
    ),
    "qwen3_next": decoder("Qwen3Next", **EXPERTS, shared_expert_intermediate_size=256),
}  # fmt: skip

SOUND: dict[str, Row] = {
    "wav2vec2": Row("Wav2Vec2Config", "Wav2Vec2Model", SPEECH, *WAVE),
    "hubert": Row("HubertConfig", "HubertModel", SPEECH, *WAVE),
    "wavlm": Row("WavLMConfig", "WavLMModel", SPEECH, *WAVE),
    "unispeech": Row("UniSpeechConfig", "UniSpeechModel", SPEECH, *WAVE),
    "data2vec-audio": Row(
        "Data2VecAudioConfig", "Data2VecAudioModel", {**SPEECH, "num_conv_pos_embeddings": 5}, *WAVE
    ),
    "encodec": Row("EncodecConfig", "EncodecModel", {}, (1, 1, 24000), "input_values"),
    "mimi": Row("MimiConfig", "MimiModel", {"num_hidden_layers": 4}, (1, 1, 24000), "input_values"),
    "dac": Row("DacConfig", "DacModel", {}, (1, 1, 16000), "input_values"),
}
