"""What configs of models of a selective state space say."""

from __future__ import annotations

from tallow.models.configs import MAX_WIDTH, Config, choice, custom, layers, ratio, size
from tallow.models.fields import Fields

# Such a model has no largest position; this many llama.cpp's converter writes, too.
ENDLESS = 1 << 20

_WITHOUT_EFFECT = """
residual_in_fp32 rescale_prenorm_residual time_step_scale time_step_min time_step_max
time_step_init_scheme time_step_floor use_mambapy use_falcon_mambapy use_associative_scan
intermediate_size layer_types d_model d_inner n_layer fused_add_norm rms_norm ssm_cfg
pad_vocab_size_multiple chunk_size
"""


def read_rank(fields: Fields, name: str, default: object) -> int | None:
    """A number, or None for "auto": a sixteenth of the width."""
    if fields.get(name) in (None, "auto"):
        return None
    return fields.integer(name, high=MAX_WIDTH)


class StateSpaceConfig(Config):
    """What Mamba 1 and 2 have in common, under Hugging Face's names."""

    without_effect = frozenset(_WITHOUT_EFFECT.split())

    vocab_size: int = size(50280, high=2**31 - 1)
    hidden_size: int = size(768)
    num_hidden_layers: int = layers(32)
    layer_norm_epsilon: float = 1e-5
    expand: float = ratio(2)
    conv_kernel: int = size(4, low=2, high=16)
    use_bias: bool = False
    use_conv_bias: bool = True
    hidden_act: str = choice("silu", "swish")
    tie_word_embeddings: bool = True
    max_position_embeddings: int = size(ENDLESS, high=2**31 - 1)

    @property
    def inner(self) -> int:
        """The number of channels of a mixer."""
        return int(self.expand * self.hidden_size)

    @property
    def context(self) -> int:
        """How many positions may be asked for."""
        return self.max_position_embeddings

    def check(self, fields: Fields) -> None:
        """There are channels, and not too many."""
        if not 1 <= self.inner <= MAX_WIDTH:
            wanted = f"a factor that makes 1 to {MAX_WIDTH} channels of {self.hidden_size}"
            raise fields.error("expand", wanted, self.expand)


class ScanConfig(StateSpaceConfig):
    """Of families of Mamba 1."""

    state_size: int = size(16, high=256)
    time_step_rank: int | None = custom(None, read_rank)

    @property
    def rank(self) -> int:
        """The width that time steps are projected from."""
        return self.time_step_rank or -(-self.hidden_size // 16)
