"""Speech models as wav2vec 2.0's descendants are made: frames of samples, layers, an adapter."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow.dtype import i64
from tallow.errors import ArgumentError, expect
from tallow.factories import arange
from tallow.models.base import Model
from tallow.models.blocks.attention import Attention
from tallow.models.blocks.wav2vec2 import (
    ConvPositions,
    FrameAdapter,
    FrameEncoder,
    FrameProjection,
    SpeechEncoder,
    SpeechLayer,
    StableLayer,
)
from tallow.models.blocks.weight_norm import OLDER
from tallow.models.configs import Config, activation, choice, layers, one_each, size, sizes, token
from tallow.models.fields import Fields
from tallow.models.outputs import HiddenStates, Output
from tallow.nn import Module, param
from tallow.nn.init import uniform_
from tallow.ops import where
from tallow.tensor import Tensor

# Of training: how much is masked, left out, or weighed in losses that no class here has.
_TRAINING = """
feat_proj_dropout feat_quantizer_dropout final_dropout apply_spec_augment mask_time_length
mask_time_min_masks mask_feature_length mask_feature_min_masks mask_channel_length
mask_channel_min_space mask_channel_other mask_channel_prob mask_channel_selection
mask_time_min_space mask_time_other mask_time_selection num_codevectors_per_group
num_codevector_groups contrastive_logits_temperature num_negatives codevector_dim
proj_codevector_dim diversity_loss_weight num_feat_extract_layers gradient_checkpointing
freeze_feat_extract_train no_mask_channel_overlap no_mask_time_overlap replace_prob num_ctc_classes
num_clusters feat_extract_dropout
"""


class SpeechConfig(Config):
    """The fields of wav2vec 2.0's config; families have other defaults and more."""

    without_effect = frozenset(_TRAINING.split())

    vocab_size: int = size(32, high=2**31 - 1)
    hidden_size: int = size(768)
    num_hidden_layers: int = layers(12)
    num_attention_heads: int = size(12)
    intermediate_size: int = size(3072)
    hidden_act: str = activation("gelu")
    layer_norm_eps: float = 1e-5
    feat_extract_norm: str = choice("group", "layer")
    feat_extract_activation: str = activation("gelu")
    conv_dim: tuple[int, ...] = sizes(512, 512, 512, 512, 512, 512, 512)
    conv_stride: tuple[int, ...] = sizes(5, 2, 2, 2, 2, 2, 2)
    conv_kernel: tuple[int, ...] = sizes(10, 3, 3, 3, 3, 2, 2)
    conv_bias: bool = False
    num_conv_pos_embeddings: int = size(128)
    num_conv_pos_embedding_groups: int = size(16)
    do_stable_layer_norm: bool = False
    mask_time_prob: float = 0.05
    mask_feature_prob: float = 0.0
    ctc_loss_reduction: str = choice("sum", "mean", "none")
    ctc_zero_infinity: bool = False
    use_weighted_layer_sum: bool = False
    classifier_proj_size: int = size(256)
    tdnn_dim: tuple[int, ...] = sizes(512, 512, 512, 512, 1500)
    tdnn_kernel: tuple[int, ...] = sizes(5, 3, 3, 1, 1)
    tdnn_dilation: tuple[int, ...] = sizes(1, 2, 3, 1, 1)
    xvector_output_dim: int = size(512)
    pad_token_id: int | None = token(0)
    add_adapter: bool = False
    adapter_kernel_size: int = size(3)
    adapter_stride: int = size(2)
    num_adapter_layers: int = layers(3)
    output_hidden_size: int | None = None

    def check(self, fields: Fields) -> None:
        """Each convolution has a width, a kernel and a stride; groups divide the width."""
        if not self.conv_dim:
            raise fields.error("conv_dim", "one width at least", [])
        for name in ("conv_stride", "conv_kernel"):
            one_each(fields, name, getattr(self, name), len(self.conv_dim))
        for name in ("tdnn_kernel", "tdnn_dilation"):
            one_each(fields, name, getattr(self, name), len(self.tdnn_dim))
        groups = self.num_conv_pos_embedding_groups
        if self.hidden_size % groups:
            wanted = f"a divisor of hidden_size {self.hidden_size}"
            raise fields.error("num_conv_pos_embedding_groups", wanted, groups)

    @property
    def width(self) -> int:
        """Of what the model gives."""
        adapted = self.output_hidden_size if self.add_adapter else None
        return adapted or self.hidden_size

    def frames(self, samples: Any, *, adapted: bool = True) -> Any:
        """How many frames so many samples make, a number or a tensor of them.

        Before the adapter, where there is one and `adapted` is false.
        """
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1
        for _ in range(self.num_adapter_layers if self.add_adapter and adapted else 0):
            samples = (samples - 1) // self.adapter_stride + 1
        return samples

    @property
    def shortest(self) -> int:
        """How many samples the first frame takes."""
        need = 1
        for kernel, stride in reversed(list(zip(self.conv_kernel, self.conv_stride, strict=True))):
            need = (need - 1) * stride + kernel
        return need


def kept_frames(lengths: Tensor, count: int) -> Tensor:
    """Which of `count` frames each row has: `(batch,)` → booleans `(batch, count)`.

    A row of no frame at all keeps them all, as attention needs one to see.
    """
    lengths = where(lengths.lt(1), count, lengths)
    return arange(count, dtype=i64).unsqueeze(0).lt(lengths.unsqueeze(1))


class SpeechOutput(Output):
    """`last_hidden_state` `(batch, frames, size)`, the normed frames, hidden states on request.

    The last of the hidden states is what comes out of the last layer, before a norm behind it.
    """

    last_hidden_state: Tensor
    extract_features: Tensor | None = None
    hidden_states: HiddenStates | None = None


class SpeechModel(Model):
    """Frames, layers over them, and the adapter if the config has one; no head."""

    rules = OLDER
    encoder_class: ClassVar[type[SpeechEncoder]] = SpeechEncoder
    _optional = frozenset({"masked_spec_embed"})  # fine-tuned files may lack it

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        self.rows_alone = cfg.feat_extract_norm == "group"  # which sees the padding
        self.feature_extractor = FrameEncoder(
            cfg.conv_dim, cfg.conv_kernel, cfg.conv_stride, bias=cfg.conv_bias,
            norm=cfg.feat_extract_norm, act=cfg.feat_extract_activation,
        )  # fmt: skip
        self.feature_projection = self.projection()
        masked = cfg.mask_time_prob > 0 or cfg.mask_feature_prob > 0
        self.masked_spec_embed = param(cfg.hidden_size, init=uniform_) if masked else None
        self.encoder = self.make_encoder()
        self.adapter: FrameAdapter | None = None
        if cfg.add_adapter:
            self.adapter = FrameAdapter(
                cfg.hidden_size, cfg.width, cfg.adapter_kernel_size, cfg.adapter_stride,
                cfg.num_adapter_layers,
            )  # fmt: skip

    def projection(self) -> FrameProjection:
        """From the last convolution's width to the layers'."""
        cfg = self.config
        return FrameProjection(cfg.conv_dim[-1], cfg.hidden_size, cfg.layer_norm_eps)

    def positions(self) -> Module:
        """What tells a frame where it stands."""
        cfg = self.config
        return ConvPositions(
            cfg.hidden_size, cfg.num_conv_pos_embeddings, cfg.num_conv_pos_embedding_groups,
            cfg.feat_extract_activation,
        )  # fmt: skip

    def attention(self, index: int) -> Module:
        """The attention of a layer."""
        cfg = self.config
        return Attention(cfg.hidden_size, cfg.num_attention_heads, bias=True, out_name="out_proj")

    def layer(self, index: int) -> Module:
        """A layer."""
        cfg = self.config
        given = (self.attention(index), cfg.hidden_size, cfg.intermediate_size, cfg.hidden_act,
                 cfg.layer_norm_eps)  # fmt: skip
        if cfg.do_stable_layer_norm:
            return StableLayer(*given, adapter=getattr(cfg, "adapter_attn_dim", None) or 0)
        return SpeechLayer(*given)

    def make_encoder(self) -> SpeechEncoder:
        """Positions and layers."""
        cfg = self.config
        made = [self.layer(index) for index in range(cfg.num_hidden_layers)]
        return self.encoder_class(
            self.positions(), made, cfg.hidden_size, cfg.layer_norm_eps,
            stable=cfg.do_stable_layer_norm,
        )  # fmt: skip

    def forward(
        self,
        input_values: Tensor,
        attention_mask: Tensor | None = None,
        mask_time_indices: Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> SpeechOutput:
        """Samples `(batch, length)` → hidden states `(batch, frames, size)`.

        `attention_mask` `(batch, length)` is 0 where a row is padded, behind its samples.
        `mask_time_indices` `(batch, frames)` is true where a learned vector takes the place of a
        frame.

        Raises:
            ShapeError, ArgumentError: there are other axes, or fewer samples than a frame takes.
        """
        least = self.config.shortest
        expect(input_values.ndim == 2, "input_values", "shape (batch, length)", input_values.shape)
        given = input_values.shape[1]
        expect(given >= least, "input_values", f"{least} samples or more", given, ArgumentError)
        frames = self.feature_extractor(input_values)
        x, normed = self.feature_projection(frames)
        if mask_time_indices is not None and self.masked_spec_embed is not None:
            x = where(mask_time_indices.ne(0).unsqueeze(-1), self.masked_spec_embed, x)
        kept = None if attention_mask is None else self.kept(attention_mask, x.shape[1])
        x, states = self.encoder(x, kept)
        if self.adapter is not None:
            x = self.adapter(x)
        return SpeechOutput(x, normed, tuple(states) if output_hidden_states else None)

    def kept(self, mask: Tensor, count: int) -> Tensor:
        """Which of `count` frames before the adapter a mask of samples keeps."""
        lengths = self.config.frames(mask.to(i64).sum(-1), adapted=False)
        return kept_frames(lengths, count)
