"""Configs and checkpoint names of DETR and its relatives."""

from __future__ import annotations

from typing import Any

from tallow.models.configs import activation, choice, custom, layers, size
from tallow.models.detection_losses import MatchingConfig
from tallow.models.fields import Fields
from tallow.models.parts import Part, part
from tallow.weights.arrange import WeightConverter, rename, split


def read_backbone(fields: Fields, name: str, default: Any) -> Part:
    """`backbone_config`, or what the older keys `backbone`, `use_timm_backbone`, … say."""
    timm = fields.flag("use_timm_backbone", True)
    options = fields.scope("backbone_kwargs")
    backbone, dilated = fields.text("backbone", "resnet50"), fields.flag("dilation")
    if fields.get(name) is not None:
        return part(fields.scope(name), "backbone")
    if not timm:
        values: dict[str, Any] = {"model_type": "resnet", "out_features": ["stage4"]}
        return part(Fields(values, f"{fields.source}: {name}"), "backbone")
    values = {
        "model_type": "timm_backbone",
        "backbone": backbone or "resnet50",
        "num_channels": options.integer("in_chans", fields.integer("num_channels", 3)),
        "out_indices": options.get("out_indices") or [1, 2, 3, 4],
        "output_stride": options.get("output_stride") or (16 if dilated else 32),
    }
    return part(Fields(values, f"{fields.source}: backbone"), "backbone")


class DetectorConfig(MatchingConfig):
    """What the configs of DETR and its relatives share; `backbone_config` is a part."""

    backbone_config: Part = custom(None, read_backbone)
    num_queries: int = size(100)
    d_model: int = size(256, "hidden_size")
    encoder_layers: int = layers(6, "num_hidden_layers")
    encoder_ffn_dim: int = size(2048)
    encoder_attention_heads: int = size(8, "num_attention_heads")
    decoder_layers: int = layers(6)
    decoder_ffn_dim: int = size(2048)
    decoder_attention_heads: int = size(8)
    activation_function: str = activation("relu")
    position_embedding_type: str = choice("sine", "learned")
    auxiliary_loss: bool = False

    without_effect = frozenset(
        {
            "use_pretrained_backbone", "scale_embedding", "num_channels",
            "max_position_embeddings",
        }
    )  # fmt: skip

    @property
    def num_hidden_layers(self) -> int:
        """Of encoder and decoder."""
        return self.encoder_layers + self.decoder_layers

    def check(self, fields: Fields) -> None:
        """Refuse widths that do not divide, and two names of one field that differ."""
        for name in ("encoder_attention_heads", "decoder_attention_heads"):
            if self.d_model % getattr(self, name):
                wanted = f"a divisor of d_model, which is {self.d_model}"
                raise fields.error(name, wanted, getattr(self, name))
        if self.d_model % 4:
            raise fields.error("d_model", "a multiple of 4", self.d_model)
        for other, name in _ALIASES.items():
            if fields.get(other) not in (None, getattr(self, name)):
                wanted = f"{getattr(self, name)}, as {name} has"
                raise fields.error(other, wanted, fields.get(other))


_ALIASES = {
    "hidden_size": "d_model",
    "num_hidden_layers": "encoder_layers",
    "num_attention_heads": "encoder_attention_heads",
}

# The layout of the files that the authors of DETR and of Table Transformer published.
ORIGINAL: tuple[WeightConverter, ...] = (
    rename("backbone.0.body.*", "backbone.conv_encoder.model.*"),
    rename("transformer.encoder.norm.*", "encoder.layernorm.*"),
    rename("transformer.decoder.norm.*", "decoder.layernorm.*"),
    rename("transformer.*", "*"),
    rename("decoder.layers.{}.multihead_attn.*", "decoder.layers.{}.encoder_attn.*"),
    rename("decoder.layers.{}.cross_attn.*", "decoder.layers.{}.encoder_attn.*"),
    *(
        rename(f"{side}.layers.{{}}.{old}.*", f"{side}.layers.{{}}.{new}.*")
        for side, norms in (
            ("encoder", ("self_attn", "final")),
            ("decoder", ("self_attn", "encoder_attn", "final")),
        )
        for old, new in (
            ("linear1", "fc1"),
            ("linear2", "fc2"),
            *((f"norm{i}", f"{norm}_layer_norm") for i, norm in enumerate(norms, 1)),
        )
    ),
    *(
        split(f"*.in_proj_{kind}", *(f"*.{each}_proj.{kind}" for each in "qkv"))
        for kind in ("weight", "bias")
    ),
    rename("query_embed.weight", "query_position_embeddings.weight"),
    rename("input_proj.*", "input_projection.*"),
)
