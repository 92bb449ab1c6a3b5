"""Cases of test_layers_torch: every layer with arguments and the inputs of a call."""

import numpy as np

B, C = 3, 4
IMAGE, LINE, VOLUME = (B, C, 7, 6), (B, C, 9), (2, C, 5, 4, 6)


def case(name, *args, inputs, call=None, train=True, **options):
    """A layer by name and arguments, the inputs (shapes, or arrays) of one call, its options."""
    return (name, args, options, inputs, call or {}, train)


def ints(*shape, high):
    return np.random.default_rng(5).integers(0, high, shape)


def bools(*shape):
    return np.random.default_rng(6).random(shape) < 0.4


def log_probs(*shape):
    x = np.random.default_rng(7).normal(size=shape)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def unit(*shape):
    return np.random.default_rng(8).uniform(0.05, 0.95, shape)


def signs(*shape):
    return np.random.default_rng(9).choice([-1.0, 1.0], shape)


ACTIVATIONS = [
    "ReLU", "ReLU6", "ELU", "SELU", "CELU", "GELU", "LeakyReLU", "LogSigmoid", "Softplus",
    "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Sigmoid", "Hardsigmoid", "Hardtanh",
    "Hardshrink", "Hardswish", "SiLU", "Mish",
]  # fmt: skip
MODES = ("sum", "mean", "max")
CASES = [
    *[case(name, inputs=[(4, 5)]) for name in ACTIVATIONS],
    case("GELU", approximate="tanh", inputs=[(4, 5)]),
    case("Threshold", 0.1, 20.0, inputs=[(4, 5)]),
    case("RReLU", inputs=[(4, 5)], train=False),
    case("GLU", 1, inputs=[(3, 6)]),
    case("PReLU", inputs=[(3, 4)]),
    case("PReLU", 4, inputs=[LINE]),
    case("Softmax", 1, inputs=[(3, 6)]),
    case("Softmin", 0, inputs=[(3, 6)]),
    case("LogSoftmax", -1, inputs=[(3, 6)]),
    case("Softmax2d", inputs=[IMAGE]),
    case("Identity", 3, x=4, inputs=[(3, 6)]),
    case("Linear", 5, 3, inputs=[(2, 4, 5)]),
    case("Linear", 5, 3, bias=False, inputs=[(5,)]),
    case("Bilinear", 5, 3, 4, inputs=[(2, 6, 5), (2, 6, 3)]),
    case("Embedding", 7, 4, inputs=[ints(3, 5, high=7)]),
    case("Embedding", 7, 4, padding_idx=2, inputs=[ints(3, 5, high=7)]),
    case("Embedding", 7, 4, scale_grad_by_freq=True, inputs=[ints(3, 5, high=7)]),
    case("Embedding", 7, 4, max_norm=1.0, inputs=[ints(3, 5, high=7)]),
    *[case("EmbeddingBag", 7, 4, mode=m, inputs=[ints(3, 5, high=7)]) for m in MODES],
    *[
        case(
            "EmbeddingBag", 7, 4, mode=m, padding_idx=1,
            inputs=[ints(8, high=7), np.array([0, 3, 3, 5])],
        )
        for m in MODES
    ],
    case(
        "EmbeddingBag", 7, 4, mode="sum", include_last_offset=True,
        inputs=[ints(8, high=7), np.array([0, 3, 8])], call={"per_sample_weights": (8,)},
    ),
    # convolutions
    case("Conv1d", 4, 6, 3, inputs=[LINE]),
    case("Conv1d", 4, 6, 3, padding="same", dilation=2, groups=2, inputs=[LINE]),
    case("Conv2d", 4, 6, 3, stride=2, padding=1, inputs=[IMAGE]),
    case("Conv2d", 4, 8, (3, 2), padding=(1, 2), dilation=(2, 1), groups=4, inputs=[IMAGE]),
    case("Conv2d", 4, 6, (3, 2), padding="same", bias=False, inputs=[IMAGE]),
    case("Conv2d", 4, 6, 3, inputs=[IMAGE[1:]]),
    *[
        case("Conv2d", 4, 6, 3, padding=(1, 2), padding_mode=mode, inputs=[IMAGE])
        for mode in ("reflect", "replicate", "circular")
    ],
    case("Conv2d", 4, 6, (2, 3), padding="same", padding_mode="reflect", inputs=[IMAGE]),
    case("Conv3d", 4, 6, (3, 2, 2), padding=1, stride=(1, 2, 1), inputs=[VOLUME]),
    case("ConvTranspose1d", 4, 6, 3, stride=2, padding=1, output_padding=1, inputs=[LINE]),
    case("ConvTranspose2d", 4, 6, 3, stride=2, groups=2, inputs=[IMAGE]),
    case(
        "ConvTranspose2d", 4, 6, 3, stride=2, padding=1, inputs=[IMAGE],
        call={"output_size": (14, 12)},
    ),
    case("ConvTranspose3d", 4, 2, 2, stride=2, inputs=[VOLUME]),
    case("Unfold", (2, 3), padding=1, stride=2, inputs=[IMAGE]),
    case("Fold", (6, 5), (2, 2), inputs=[(2, 12, 20)]),
    # pools
    case("MaxPool1d", 3, 2, 1, inputs=[LINE]),
    case("MaxPool2d", (3, 2), stride=2, padding=1, ceil_mode=True, inputs=[IMAGE]),
    case("MaxPool2d", 3, dilation=2, stride=1, inputs=[IMAGE]),
    case("MaxPool3d", 2, inputs=[VOLUME]),
    case("AvgPool1d", 3, 2, 1, inputs=[LINE]),
    case("AvgPool2d", 3, 2, 1, ceil_mode=True, count_include_pad=False, inputs=[IMAGE]),
    case("AvgPool2d", 2, divisor_override=3, inputs=[IMAGE]),
    case("AvgPool3d", 2, inputs=[VOLUME]),
    case("LPPool1d", 2, 3, inputs=[unit(*LINE)]),
    case("LPPool2d", 3, 2, stride=1, inputs=[unit(*IMAGE)]),
    case("LPPool3d", 2, 2, inputs=[unit(*VOLUME)]),
    case("AdaptiveAvgPool1d", 4, inputs=[LINE]),
    case("AdaptiveAvgPool2d", (3, None), inputs=[IMAGE]),
    case("AdaptiveAvgPool3d", 2, inputs=[VOLUME]),
    case("AdaptiveMaxPool1d", 4, inputs=[LINE]),
    case("AdaptiveMaxPool2d", (3, 2), inputs=[IMAGE]),
    case("AdaptiveMaxPool3d", 2, inputs=[VOLUME]),
    case("FractionalMaxPool2d", 2, (3, 4), inputs=[IMAGE], _random_samples=unit(B, C, 2)),
    case(
        "FractionalMaxPool3d", (2, 1, 3), output_ratio=0.5, return_indices=True, inputs=[VOLUME],
        _random_samples=unit(2, C, 3),
    ),
    # norms
    case("LayerNorm", 6, inputs=[IMAGE]),
    case("LayerNorm", (7, 6), bias=False, inputs=[IMAGE]),
    case("LayerNorm", 6, elementwise_affine=False, inputs=[IMAGE]),
    case("RMSNorm", 6, inputs=[IMAGE]),
    case("RMSNorm", (7, 6), eps=1e-3, inputs=[IMAGE]),
    case("GroupNorm", 2, 4, inputs=[IMAGE]),
    case("GroupNorm", 4, 4, affine=False, inputs=[LINE]),
    case("BatchNorm1d", 4, inputs=[(5, 4)]),
    case("BatchNorm1d", 4, momentum=None, inputs=[LINE]),
    case("BatchNorm1d", 4, inputs=[LINE], train=False),
    case("BatchNorm2d", 4, eps=1e-3, momentum=0.3, inputs=[IMAGE]),
    case("BatchNorm2d", 4, affine=False, track_running_stats=False, inputs=[IMAGE]),
    case("BatchNorm2d", 4, track_running_stats=False, inputs=[IMAGE], train=False),
    case("BatchNorm3d", 4, inputs=[VOLUME]),
    case("InstanceNorm1d", 4, inputs=[LINE]),
    case("InstanceNorm2d", 4, affine=True, track_running_stats=True, inputs=[IMAGE]),
    case("InstanceNorm2d", 4, track_running_stats=True, inputs=[IMAGE], train=False),
    case("InstanceNorm3d", 4, affine=True, inputs=[VOLUME]),
    case("LocalResponseNorm", 3, alpha=0.1, inputs=[IMAGE]),
    case("LocalResponseNorm", 2, inputs=[IMAGE]),
    # shapes
    case("Flatten", inputs=[IMAGE]),
    case("Unflatten", 1, (2, 2), inputs=[IMAGE]),
    case("Upsample", scale_factor=2, inputs=[IMAGE]),
    case("Upsample", (5, 9), mode="bilinear", align_corners=True, inputs=[IMAGE]),
    case("UpsamplingNearest2d", scale_factor=3, inputs=[IMAGE]),
    case("UpsamplingBilinear2d", (5, 9), inputs=[IMAGE]),
    case("PixelShuffle", 2, inputs=[IMAGE]),
    case("PixelUnshuffle", 2, inputs=[(2, 3, 4, 6)]),
    case("ChannelShuffle", 2, inputs=[IMAGE]),
    case("ZeroPad2d", (1, 0, 2, 1), inputs=[IMAGE]),
    case("ZeroPad1d", 2, inputs=[LINE]),
    case("ConstantPad1d", 1, 2.5, inputs=[LINE]),
    case("ConstantPad3d", 1, -1.0, inputs=[VOLUME]),
    case("ReflectionPad1d", (2, 1), inputs=[LINE]),
    case("ReflectionPad2d", 2, inputs=[IMAGE]),
    case("ReflectionPad3d", 1, inputs=[VOLUME]),
    case("ReplicationPad2d", (2, 1, 0, 3), inputs=[IMAGE]),
    case("ReplicationPad3d", 1, inputs=[VOLUME]),
    case("CircularPad2d", (2, 1, 0, 3), inputs=[IMAGE]),
    case("CosineSimilarity", inputs=[(3, 5), (3, 5)]),
    case("PairwiseDistance", p=1.5, inputs=[(3, 5), (3, 5)]),
    case("Dropout", 0.3, inputs=[(3, 5)], train=False),
    case("AlphaDropout", 0.3, inputs=[(3, 5)], train=False),
    # recurrent
    case("RNN", 5, 4, inputs=[(6, B, 5)]),
    case("RNN", 5, 4, 2, nonlinearity="relu", bidirectional=True, bias=False, inputs=[(6, B, 5)]),
    case("LSTM", 5, 4, inputs=[(6, B, 5)]),
    case("LSTM", 5, 4, 2, batch_first=True, bidirectional=True, inputs=[(B, 6, 5)]),
    case(
        "LSTM", 5, 4, 2, proj_size=3, bidirectional=True,
        inputs=[(6, B, 5), ((4, B, 3), (4, B, 4))],
    ),
    case("LSTM", 5, 4, inputs=[(6, 5)]),
    case("GRU", 5, 4, inputs=[(6, B, 5), (1, B, 4)]),
    case("GRU", 5, 4, 2, bidirectional=True, batch_first=True, inputs=[(B, 6, 5)]),
    case("GRU", 5, 4, bias=False, inputs=[(6, 5)]),
    case("RNNCell", 5, 4, inputs=[(B, 5)]),
    case("RNNCell", 5, 4, nonlinearity="relu", inputs=[(B, 5), (B, 4)]),
    case("LSTMCell", 5, 4, inputs=[(B, 5), ((B, 4), (B, 4))]),
    case("GRUCell", 5, 4, inputs=[(5,), (4,)]),
    # transformers
    case("MultiheadAttention", 8, 2, inputs=[(5, B, 8), (6, B, 8), (6, B, 8)]),
    case(
        "MultiheadAttention", 8, 2, kdim=3, vdim=5, batch_first=True, add_bias_kv=True,
        inputs=[(B, 5, 8), (B, 6, 3), (B, 6, 5)], call={"average_attn_weights": False},
    ),
    case(
        "MultiheadAttention", 8, 4, add_zero_attn=True, bias=False, batch_first=True,
        inputs=[(B, 5, 8), (B, 6, 8), (B, 6, 8)],
        call={"key_padding_mask": bools(B, 6), "attn_mask": (5, 6)},
    ),
    case(
        "MultiheadAttention", 8, 2, inputs=[(5, B, 8), (6, B, 8), (6, B, 8)],
        call={"need_weights": False, "attn_mask": bools(2 * B, 5, 6)},
    ),
    case("MultiheadAttention", 8, 2, inputs=[(5, 8), (6, 8), (6, 8)]),
    case("TransformerEncoderLayer", 8, 2, 16, 0.0, inputs=[(5, B, 8)]),
    case(
        "TransformerEncoderLayer", 8, 2, 16, 0.0, activation="gelu", norm_first=True,
        batch_first=True, inputs=[(B, 5, 8)], call={"src_key_padding_mask": bools(B, 5) & False},
    ),
    case("TransformerDecoderLayer", 8, 2, 16, 0.0, inputs=[(5, B, 8), (6, B, 8)]),
    case(
        "TransformerDecoderLayer", 8, 2, 16, 0.0, norm_first=True, batch_first=True, bias=False,
        inputs=[(B, 5, 8), (B, 6, 8)],
    ),
    case("Transformer", 8, 2, 2, 2, 16, 0.0, inputs=[(6, B, 8), (5, B, 8)]),
    # losses
    *[
        case(name, reduction=reduction, inputs=[(4, 5), (4, 5)])
        for name in ("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss", "KLDivLoss")
        for reduction in ("none", "mean", "sum")
    ],
    case("SmoothL1Loss", beta=0.3, inputs=[(4, 5), (4, 5)]),
    case("HuberLoss", delta=0.3, inputs=[(4, 5), (4, 5)]),
    case("KLDivLoss", reduction="batchmean", log_target=True, inputs=[(4, 5), (4, 5)]),
    *[
        case(name, weight=unit(5), ignore_index=2, reduction=reduction,
             inputs=[(8, 5), ints(8, high=5)])
        for name in ("NLLLoss", "CrossEntropyLoss")
        for reduction in ("none", "mean", "sum")
    ],
    case("NLLLoss", inputs=[(3, 5, 2, 4), ints(3, 2, 4, high=5)]),
    case("CrossEntropyLoss", inputs=[(8, 5), ints(8, high=5)]),
    case("CrossEntropyLoss", inputs=[(5,), ints(high=5)]),
    case("CrossEntropyLoss", inputs=[(3, 5, 2), ints(3, 2, high=5)]),
    *[
        case("CrossEntropyLoss", label_smoothing=0.2, inputs=[(8, 5), ints(8, high=5)], **more)
        for more in (
            {}, {"reduction": "none"}, {"reduction": "sum"}, {"ignore_index": 1},
            {"weight": unit(5)}, {"weight": unit(5), "ignore_index": 1},
            {"weight": unit(5), "ignore_index": 1, "reduction": "none"},
        )
    ],
    case("CrossEntropyLoss", inputs=[(8, 5), unit(8, 5)]),
    case(
        "CrossEntropyLoss", weight=unit(5), label_smoothing=0.1,
        inputs=[(3, 5, 2), unit(3, 5, 2)],
    ),
    *[case("BCELoss", reduction=r, inputs=[unit(4, 5), unit(4, 5)]) for r in ("none", "mean")],
    case("BCELoss", weight=unit(5), inputs=[unit(4, 5), unit(4, 5)]),
    case("BCELoss", inputs=[np.array([0.0, 1, 0, 1, 0.5]), np.array([0.0, 1, 1, 0, 0.5])]),
    case("BCEWithLogitsLoss", inputs=[(4, 5), unit(4, 5)]),
    case("BCEWithLogitsLoss", weight=unit(5), pos_weight=unit(5), inputs=[(4, 5), unit(4, 5)]),
    case("PoissonNLLLoss", inputs=[(4, 5), unit(4, 5) * 4]),
    case("PoissonNLLLoss", log_input=False, full=True, inputs=[unit(4, 5), unit(4, 5) * 4]),
    case("GaussianNLLLoss", full=True, inputs=[(4, 5), (4, 5), unit(4, 5)]),
    case("GaussianNLLLoss", inputs=[(4, 5), (4, 5), unit(4, 1)]),
    *[
        case("CTCLoss", reduction=r, inputs=[
            log_probs(12, 3, 5), ints(3, 4, high=4) + 1, np.array([12, 10, 11]),
            np.array([4, 2, 3]),
        ])
        for r in ("none", "mean", "sum")
    ],
    case("CTCLoss", blank=2, zero_infinity=True, inputs=[
        log_probs(3, 3, 5), np.array([0, 1, 1, 3, 4, 0, 0]), np.array([3, 3, 2]),
        np.array([2, 4, 1]),
    ]),
    case("CosineEmbeddingLoss", margin=0.1, inputs=[(6, 5), (6, 5), signs(6)]),
    case("MarginRankingLoss", margin=0.1, inputs=[(6,), (6,), signs(6)]),
    case("HingeEmbeddingLoss", inputs=[(6,), signs(6)]),
    case("SoftMarginLoss", inputs=[(6,), signs(6)]),
    case("MultiMarginLoss", inputs=[(6, 5), ints(6, high=5)]),
    case("MultiMarginLoss", p=2, margin=0.5, weight=unit(5), inputs=[(6, 5), ints(6, high=5)]),
    case("MultiLabelMarginLoss", inputs=[(2, 4), np.array([[3, 0, -1, 1], [2, 1, 0, 3]])]),
    case("MultiLabelSoftMarginLoss", weight=unit(5), inputs=[(6, 5), bools(6, 5).astype(float)]),
    case("TripletMarginLoss", inputs=[(6, 5), (6, 5), (6, 5)]),
    case("TripletMarginLoss", p=1.0, swap=True, margin=2.0, inputs=[(6, 5), (6, 5), (6, 5)]),
    case("TripletMarginWithDistanceLoss", swap=True, inputs=[(6, 5), (6, 5), (6, 5)]),
]  # fmt: skip
