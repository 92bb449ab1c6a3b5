"""Pictures beside texts as OpenCLIP's files hold them, such as MobileCLIP (arXiv 2311.17049).

The picture's side is a model of timm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tallow.dtype import f32
from tallow.errors import ContextError, expect
from tallow.models.base import Model
from tallow.models.blocks.activation import ACTIVATIONS, linear_then
from tallow.models.blocks.embedding import Embedding, text_inputs
from tallow.models.blocks.heads import attend
from tallow.models.blocks.towers import PairOutput, contrastive, paired
from tallow.models.configs import MAX_WIDTH, Config, choice, custom, layers, ratio, size
from tallow.models.fields import Fields
from tallow.models.outputs import BaseOutput
from tallow.models.parts import section
from tallow.models.table import find_timm
from tallow.nn import LayerNorm, Linear, Module, ModuleList, param
from tallow.nn.init import zeros
from tallow.nn.parameter import declare
from tallow.ops import linear
from tallow.tensor import Tensor
from tallow.weights.arrange import rename

# Of the text's side, what changes what is computed and is not here.
_OTHERS = (
    "hf_model_name", "ls_init_value", "embed_cls", "use_pad_mask", "block_type", "qk_norm",
    "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc",
    "final_ln_after_pool",
)  # fmt: skip

_WITHOUT_EFFECT = frozenset(  # of the picture's side, in training
    {"timm_model_pretrained", "timm_proj_bias", "timm_drop", "timm_drop_path", "image_size",
     "patch_dropout", "output_tokens"}
)  # fmt: skip


def _norm(fields: Fields, name: str, default: Any) -> float:
    """The small number in norms."""
    inner = fields.scope(name)
    found = inner.number("eps", 1e-5)
    if inner.unknown(()):
        raise fields.error(name, "eps alone", fields.get(name))
    return found


def _act(fields: Fields, name: str, default: Any) -> str:
    """The kind of GELU."""
    given = fields.get(name)
    if given and given != {"approximate": "tanh"}:
        raise fields.error(name, '{"approximate": "tanh"} or none', given)
    return "gelu_pytorch_tanh" if given else "gelu"


class OpenClipTextConfig(Config):
    """Of open_clip's `CLIPTextCfg`."""

    context_length: int = size(77)
    vocab_size: int = size(49408, high=2**31 - 1)
    width: int = size(512)
    heads: int = size(8)
    layers: int = layers(12)
    mlp_ratio: float = ratio(4.0)
    no_causal_mask: bool = False
    pool_type: str = choice("argmax", "first", "last")
    proj_type: str = choice("linear")
    proj_bias: bool = False
    norm_kwargs: float = custom(1e-5, _norm)
    act_kwargs: str = custom("gelu", _act)

    without_effect = frozenset(
        {"hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs", "hf_model_pretrained", "pad_id",
         "hf_proj_type", "hf_pooler_type", "eos_id", "output_tokens", "correct_cls_mask"}
    )  # fmt: skip

    @property
    def max_position_embeddings(self) -> int:
        """What others call the length."""
        return self.context_length

    def check(self, fields: Fields) -> None:
        """Heads divide the width, and nothing else is asked for."""
        for name in _OTHERS:
            if fields.get(name):
                raise fields.error(name, "none (it is not supported)", fields.get(name))
        if self.width % self.heads:
            raise fields.error("heads", f"a divisor of the width {self.width}", self.heads)
        if not 0.1 <= self.mlp_ratio <= 64:
            raise fields.error("mlp_ratio", "a number from 0.1 to 64", self.mlp_ratio)


class Trunk(NamedTuple):
    """The class of a model of timm, and its config."""

    model: type[Model]
    config: Any


def _trunk(fields: Fields, name: str, default: Any) -> Trunk:
    """From `vision_cfg`; `model_args` there are those of timm's own configs."""
    inner, width = fields.scope(name), fields.integer("embed_dim", high=MAX_WIDTH)
    architecture, args = inner.get("timm_model_name"), inner.get("model_args") or {}
    row = find_timm(architecture, f"{inner.source}: timm_model_name")
    if not isinstance(args, Mapping):
        raise inner.error("model_args", "an object", args)
    projection = inner.get("timm_proj")
    if not inner.has("timm_proj") or projection not in (None, "", "none"):
        wanted = "null, for a trunk that projects by itself, or none (others are not supported)"
        raise inner.error("timm_proj", wanted, inner.get("timm_proj"))
    args = {**args, "global_pool": inner.text("timm_pool", "avg")}
    unknown = inner.unknown(_WITHOUT_EFFECT)
    if unknown:
        raise inner.error(unknown[0], "no such key beside timm's model", inner.get(unknown[0]))
    given: dict[str, Any] = {"architecture": architecture, "model_args": args}
    given["num_classes"] = 0 if projection == "none" else width
    config = row.config.read(Fields(given, inner.source))
    return Trunk(row.of("ForImageClassification"), config)


class OpenClipConfig(Config):
    """`model_cfg` of an open_clip_config.json."""

    embed_dim: int = size()
    vision_cfg: Any = custom(None, _trunk)
    text_cfg: Any = section(OpenClipTextConfig)
    quick_gelu: bool = False
    init_logit_bias: float | None = None
    nonscalar_logit_scale: bool = choice(False)

    # Names of tensors tell whether the text's side stands by itself.
    without_effect = frozenset({"custom_text", "init_logit_scale", "preprocess_cfg"})

    @property
    def text_config(self) -> OpenClipTextConfig:
        """What others call the text's side."""
        return self.text_cfg


class PackedAttention(Module):
    """Attention whose projections are one matrix, named as in PyTorch's."""

    exact = False  # as of `Linear`

    def __init__(self, size: int, heads: int, *, causal: bool) -> None:
        self.in_proj_weight = declare(3 * size, size, init=zeros)
        self.in_proj_bias = declare(3 * size, init=zeros, loaded=f32)
        self.out_proj = Linear(size, size)
        self.heads, self.causal = heads, causal

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)`, kept."""
        q, k, v = linear(x, self.in_proj_weight, self.in_proj_bias, exact=self.exact).chunk(3, -1)
        return self.out_proj(attend(q, k, v, self.heads, causal=self.causal))


class Feed(Module):
    """`c_proj(act(c_fc(x)))`."""

    def __init__(self, size: int, hidden: int, act: str) -> None:
        self.c_fc = Linear(size, hidden)
        self.c_proj = Linear(hidden, size)
        self.act = ACTIVATIONS[act]

    def forward(self, x: Tensor) -> Tensor:
        """`(..., size)`, kept."""
        return self.c_proj(linear_then(self.c_fc, x, self.act))


class Block(Module):
    """Attention and feed-forward, each normalised before."""

    def __init__(self, cfg: OpenClipTextConfig, act: str) -> None:
        self.ln_1 = LayerNorm(cfg.width, cfg.norm_kwargs)
        self.attn = PackedAttention(cfg.width, cfg.heads, causal=not cfg.no_causal_mask)
        self.ln_2 = LayerNorm(cfg.width, cfg.norm_kwargs)
        self.mlp = Feed(cfg.width, int(cfg.width * cfg.mlp_ratio), act)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, size)`, kept."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Blocks(Module):
    """Layers, as `resblocks`."""

    def __init__(self, made: list[Block]) -> None:
        self.resblocks = ModuleList(made)


class TextTower(Module):
    """Words and positions, layers, and the projection of one of the vectors."""

    def __init__(self, cfg: OpenClipTextConfig, out: int, act: str) -> None:
        self.token_embedding = Embedding(cfg.vocab_size, cfg.width)
        self.positional_embedding = declare(cfg.context_length, cfg.width, init=zeros, loaded=f32)
        self.transformer = Blocks([Block(cfg, act) for _ in range(cfg.layers)])
        self.ln_final = LayerNorm(cfg.width, cfg.norm_kwargs)
        self.text_projection: Any = (
            Linear(cfg.width, out)
            if cfg.proj_bias
            else declare(cfg.width, out, init=zeros, loaded=f32)
        )
        self.pool = cfg.pool_type

    def forward(self, ids: Tensor) -> BaseOutput:
        """`(batch, length)` → `(batch, length, width)`, and a vector `(batch, out)`.

        Raises:
            ContextError: more positions than there are.
        """
        (b, n), most = text_inputs(ids, None).shape, self.positional_embedding.shape[0]
        expect(n <= most, "input_ids", f"at most {most} positions", n, ContextError)
        x = self.token_embedding(ids) + self.positional_embedding[:n]
        for block in self.transformer.resblocks:
            x = block(x)
        x = self.ln_final(x)
        if self.pool == "argmax":  # the end of a text is the largest id
            place = ids.argmax(1).reshape(b, 1, 1).expand(b, 1, x.shape[2])
            pooled = x.gather(1, place).squeeze(1)
        else:
            pooled = x[:, 0 if self.pool == "first" else n - 1]
        projection = self.text_projection
        linear_ = isinstance(projection, Linear)
        return BaseOutput(x, projection(pooled) if linear_ else pooled @ projection)


class Visual(Module):
    """A classifier of timm, whose labels are the elements of a vector."""

    def __init__(self, given: Trunk) -> None:
        self.trunk: Any = given.model(given.config)  # type: ignore[call-arg]  # each takes its own

    def forward(self, x: Tensor) -> BaseOutput:
        """`(batch, channels, height, width)` → the last features, and a vector `(batch, out)`."""
        features = self.trunk.finish(self.trunk.last(x))
        return BaseOutput(features, self.trunk.classify(self.trunk.pool(features)))


class OpenCLIPModel(Model):
    """Both sides and their scores."""

    config_class = OpenClipConfig
    rules = (
        rename("transformer.*", "text.transformer.*"),
        rename("token_embedding.*", "text.token_embedding.*"),
        rename("positional_embedding", "text.positional_embedding"),
        rename("ln_final.*", "text.ln_final.*"),
        rename("text_projection", "text.text_projection"),
        rename("text_projection.*", "text.text_projection.*"),
    )
    ignorable = (r"(text\.)?attn_mask",)

    def __init__(self, cfg: OpenClipConfig) -> None:
        self.config = cfg
        self.visual = Visual(cfg.vision_cfg)
        act = "quick_gelu" if cfg.quick_gelu else cfg.text_cfg.act_kwargs
        self.text = TextTower(cfg.text_cfg, cfg.embed_dim, act)
        self.logit_scale = param(init=zeros)
        self.logit_bias = None if cfg.init_logit_bias is None else param(init=zeros)

    def get_text_features(self, input_ids: Tensor) -> BaseOutput:
        """Texts `(batch, length)`; the pooled output is `(batch, embed_dim)`."""
        return self.text(input_ids)

    def get_image_features(self, pixel_values: Tensor) -> BaseOutput:
        """Pictures; the pooled output is `(batch, embed_dim)`."""
        return self.visual(pixel_values)

    def forward(
        self, input_ids: Tensor, pixel_values: Tensor, *, return_loss: bool | None = None
    ) -> PairOutput:
        """Texts `(texts, length)` and pictures → scores of all pairs; the loss on request."""
        return paired(
            self.get_text_features(input_ids),
            self.get_image_features(pixel_values),
            self.logit_scale,
            self.logit_bias,
            contrastive if return_loss else None,
        )
