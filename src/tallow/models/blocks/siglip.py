"""What SigLIP and SigLIP 2 share: texts, the pooling query of pictures, and the scores."""

from __future__ import annotations

from typing import Any, ClassVar

from tallow.models.base import Model
from tallow.models.blocks.heads import attend
from tallow.models.blocks.towers import (
    PairOutput,
    TextTower,
    TextTowerModel,
    Tower,
    TowerConfig,
    paired,
)
from tallow.models.blocks.vision import Mlp
from tallow.models.configs import activation, size
from tallow.models.outputs import BaseOutput
from tallow.nn import LayerNorm, Linear, Module, param
from tallow.nn import functional as F
from tallow.nn.init import zeros
from tallow.ops import eye, linear
from tallow.tensor import Tensor


class SiglipTextConfig(TowerConfig):
    """Of Hugging Face's `SiglipTextConfig` and `Siglip2TextConfig`."""

    vocab_size: int = size(32000, high=2**31 - 1)
    max_position_embeddings: int = size(64)
    hidden_act: str = activation("gelu_pytorch_tanh")
    layer_norm_eps: float = 1e-6
    projection_size: int = size(0, low=0)  # 0, for an absent one: hidden_size


class SiglipVisionConfig(TowerConfig):
    """Of both versions' vision configs."""

    num_channels: int = size(3)
    patch_size: int = size(16)
    hidden_act: str = activation("gelu_pytorch_tanh")
    layer_norm_eps: float = 1e-6
    vision_use_head: bool = True


class SiglipText(TextTower):
    """Layers over a whole text; the pooled output is of the last position, padding or not."""

    def __init__(self, cfg: SiglipTextConfig) -> None:
        super().__init__(cfg)
        self.head = Linear(cfg.hidden_size, cfg.projection_size or cfg.hidden_size)

    def pool(self, x: Tensor, ids: Tensor) -> Tensor:
        """`(batch, length, size)` → `(batch, projection_size)`."""
        return self.head(x[:, -1])


class PoolingAttention(Module):
    """Attention whose three projections stand in one matrix, `in_proj_weight`."""

    exact = False  # as of `Linear`

    def __init__(self, size: int, heads: int) -> None:
        self.in_proj_weight = param(3 * size, size, init=zeros)
        self.in_proj_bias = param(3 * size, init=zeros)
        self.out_proj = Linear(size, size)
        self.heads, self.size = heads, size

    def forward(self, query: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What `(batch, n, size)` sees in `(batch, m, size)`."""
        d, weight, bias = self.size, self.in_proj_weight, self.in_proj_bias
        q = linear(query, weight[:d], bias[:d], exact=self.exact)
        k = linear(x, weight[d : 2 * d], bias[d : 2 * d], exact=self.exact)
        v = linear(x, weight[2 * d :], bias[2 * d :], exact=self.exact)
        return self.out_proj(attend(q, k, v, self.heads, mask=mask))


class PoolingHead(Module):
    """What a learned query sees, through a feed-forward network."""

    def __init__(self, size: int, heads: int, hidden: int, act: str, eps: float) -> None:
        self.probe = param(1, 1, size, init=zeros)
        self.attention = PoolingAttention(size, heads)
        self.layernorm = LayerNorm(size, eps)
        self.mlp = Mlp(size, hidden, act)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """`(batch, length, size)` → `(batch, size)`."""
        seen = self.attention(self.probe.expand(x.shape[0], -1, -1), x, mask)
        return (seen + self.mlp(self.layernorm(seen)))[:, 0]


class SiglipVision(Model):
    """Patches through layers; the pooled output is what a learned query sees, if there is one."""

    base_model_prefix = "vision_model"

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        width, eps = cfg.hidden_size, cfg.layer_norm_eps
        self.embeddings: Module = self.make_embeddings(cfg)
        self.encoder = Tower.of(cfg)
        self.post_layernorm = LayerNorm(width, eps)
        self.head = None
        if cfg.vision_use_head:
            self.head = PoolingHead(
                width, cfg.num_attention_heads, cfg.intermediate_size, cfg.hidden_act, eps
            )

    def make_embeddings(self, cfg: Any) -> Module:
        """The module from pixels to vectors with positions."""
        raise NotImplementedError

    def encode(self, x: Tensor, mask: Tensor | None, *, output_hidden_states: bool) -> BaseOutput:
        """`(batch, patches, size)` through layers and head."""
        states = self.encoder(x, mask)
        x = self.post_layernorm(states[-1])
        pooled = None if self.head is None else self.head(x, mask)
        return BaseOutput(x, pooled, tuple(states) if output_hidden_states else None)


class Siglip(TextTowerModel):
    """Both sides and their scores."""

    base_model_prefix = "siglip"
    text_class: ClassVar[Any]
    vision_class: ClassVar[Any]

    def __init__(self, cfg: Any) -> None:
        self.config = cfg
        self.text_model = self.text_class(cfg.text_config)
        self.vision_model = self.vision_class(cfg.vision_config)
        self.logit_scale = param(1, init=zeros)
        self.logit_bias = param(1, init=zeros)

    def compare(
        self, texts: BaseOutput, pictures: BaseOutput, return_loss: bool | None
    ) -> PairOutput:
        """Scores of all pairs; the loss on request."""
        loss = _pairwise if return_loss else None
        return paired(texts, pictures, self.logit_scale, self.logit_bias, loss)


def _pairwise(scores: Tensor) -> Tensor:
    """Of each pair alone, whether it belongs together; summed by text."""
    signs = 2 * eye(scores.shape[0]) - 1
    return -F.logsigmoid(signs * scores).sum(-1).mean()
