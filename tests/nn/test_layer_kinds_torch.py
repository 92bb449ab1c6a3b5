"""Layers of every kind beside torch's: printed, their parameters and state, copied, converted."""

# ruff: noqa: E501 (a program holds a line together)

from __future__ import annotations

import pytest

import side_by_side

pytestmark = pytest.mark.needs_torch

# Layers of every kind with every argument: printed, their state, and after conversion and copies.
LAYERS = """
Linear(3, 2, bias=False)|Linear(3, 2)|Bilinear(2, 3, 4, bias=False)|Identity(1, 2, a=3)|Identity()
Conv1d(4, 6, 3, 2, 1, 2, 2, False, 'reflect')|Conv2d(4, 6, (3, 2), padding='same', dilation=2)
Conv3d(2, 4, 3, padding=(1, 2, 0), padding_mode='circular')|Conv2d(2, 2, 1, stride=[1, 2])
ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, False, 1)|ConvTranspose2d(4, 6, 3, dilation=(2, 1))
ConvTranspose3d(2, 2, 2, output_padding=1, stride=2)
Unfold(2, 1, (1, 0), [2, 1])|Fold((4, 5), 2, dilation=1, padding=0, stride=(1, 1))
AvgPool1d(3)|AvgPool1d(3, 2, 1, True, False)|AvgPool2d((2, 3), 2, 1, True, False, 3)|AvgPool3d(2)
AvgPool3d(3, (1, 2, 1), 1, True, False)|MaxPool1d(2, 1, 1, 2, True, True)|MaxPool2d(3, stride=(2, 1))
MaxPool3d(2, 2, 0, 1)|MaxUnpool1d(2)|MaxUnpool1d(3, 2, 1)|MaxUnpool2d(2, (2, 1), padding=(1, 1))
MaxUnpool3d((3, 2, 2), stride=(2, 1, 2), padding=(0, 1, 0))|LPPool1d(2, 3, 2, True)|LPPool2d(1.5, 3)
LPPool3d(2, 2)|AdaptiveAvgPool1d(3)|AdaptiveAvgPool2d((None, 3))|AdaptiveAvgPool3d([1, 2, 3])
AdaptiveMaxPool1d(2, True)|AdaptiveMaxPool2d(3)|AdaptiveMaxPool3d((2, None, 1))
FractionalMaxPool2d(3, output_size=(2, 2))|FractionalMaxPool3d((2, 3, 2), output_ratio=0.5)
BatchNorm1d(3)|BatchNorm2d(3, 1e-3, None, False, False)|BatchNorm3d(2, affine=False)
BatchNorm1d(3, bias=False)|InstanceNorm1d(3, affine=True)|InstanceNorm2d(3, track_running_stats=True)
InstanceNorm3d(2)|GroupNorm(2, 4, affine=False)|GroupNorm(2, 4, 1e-3)|LayerNorm(4)|LayerNorm((2, 3))
LayerNorm([3], elementwise_affine=False)|LayerNorm(3, bias=False)|RMSNorm(4)|RMSNorm([2, 3], 1e-4)
RMSNorm(3, elementwise_affine=False)|LocalResponseNorm(2)|CrossMapLRN2d(2)
RNN(3, 4)|RNN(3, 4, 2, 'relu', False, True, 0.2, True)|RNN(3, 4, nonlinearity='relu')
LSTM(3, 4, 2, proj_size=2, bidirectional=True)|LSTM(3, 4, bias=False)|GRU(3, 4, batch_first=True)
GRU(3, 4, num_layers=2, dropout=0.5)|RNNCell(3, 4)|RNNCell(3, 4, False, 'relu')|LSTMCell(3, 4)
GRUCell(3, 4, bias=False)|RNNCell(3, 4, nonlinearity='relu')|RNNBase('LSTM', 3, 4)
Embedding(5, 3)|Embedding(5, 3, -1, 2.0, 1.0, True, True)|Embedding(5, 3, padding_idx=0)
EmbeddingBag(5, 3, mode='sum')|EmbeddingBag(5, 3, 1.0, 1.5, True, 'max', False, None, True, 2)
MultiheadAttention(4, 2)|MultiheadAttention(4, 2, 0.1, False, True, True, 3, 5, True)
MultiheadAttention(4, 2, kdim=3, vdim=4)|TransformerEncoderLayer(4, 2, 8)
TransformerDecoderLayer(4, 2, 8, 0.0, 'gelu', 1e-3, True, True, False)
TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 2, nn.LayerNorm(4))
TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8), 1)
Transformer(4, 2, 1, 1, 8)|Threshold(0.1, 20)|Threshold(1, 2, True)|ReLU()|ReLU(True)|RReLU()
RReLU(0.1, 0.2, True)|Hardtanh()|Hardtanh(-2, 2, True)|ReLU6()|ReLU6(True)|Sigmoid()|Hardsigmoid()
Hardsigmoid(True)|Tanh()|SiLU()|SiLU(True)|Mish()|Mish(True)|Hardswish()|Hardswish(True)|ELU(2)
ELU(1.0, True)|CELU()|CELU(2.0, True)|SELU()|SELU(True)|GELU()|GELU('tanh')|Hardshrink(1)
LeakyReLU()|LeakyReLU(0.2, True)|LogSigmoid()|Softplus()|Softplus(2, 10)|Softshrink()|Softsign()
Tanhshrink()|GLU()|GLU(1)|Softmin()|Softmin(1)|Softmax(1)|Softmax2d()|LogSoftmax(-1)|PReLU(3, 0.1)
Dropout()|Dropout(0.2, True)|Dropout1d(1)|Dropout2d(0)|Dropout3d(0.5)|AlphaDropout()
FeatureAlphaDropout(0.3, True)|Flatten()|Flatten(0, 1)|Unflatten(1, (2, 3))|Unflatten(-1, [1, 2])
Upsample(4)|Upsample(scale_factor=(2, 3), mode='bilinear', align_corners=True)
Upsample(scale_factor=2, recompute_scale_factor=True)|UpsamplingNearest2d(scale_factor=2)
UpsamplingBilinear2d((3, 4))|PixelShuffle(2)|PixelUnshuffle(2)|ChannelShuffle(2)
CosineSimilarity(0, 1e-6)|PairwiseDistance(1, 1e-5, True)|ConstantPad1d(2, 3.5)
ConstantPad2d((1, 2, 0, 1), 3)|ConstantPad3d(1, -1.0)|ZeroPad1d(2)|ZeroPad2d((1, 2, 0, 1))
ZeroPad3d(1)|ReflectionPad1d(2)|ReflectionPad2d((1, 2, 0, 1))|ReflectionPad3d(1)
ReplicationPad1d((1, 2))|ReplicationPad2d(1)|ReplicationPad3d(2)|CircularPad1d(1)|CircularPad2d(2)
CircularPad3d((1, 1, 2, 2, 0, 1))|L1Loss()|L1Loss(reduction='sum')|MSELoss(reduce=False)
NLLLoss(torch.ones(3), ignore_index=1)|NLLLoss2d()|CrossEntropyLoss(torch.ones(2), label_smoothing=0.1)
BCELoss()|BCEWithLogitsLoss(pos_weight=torch.ones(2))|PoissonNLLLoss(False, True)|KLDivLoss('batchmean')
KLDivLoss(log_target=True)|GaussianNLLLoss(full=True)|HingeEmbeddingLoss(2.0)|MultiLabelMarginLoss()
SmoothL1Loss(beta=0.5)|HuberLoss(delta=2.0)|SoftMarginLoss()|MultiLabelSoftMarginLoss(torch.ones(3))
CosineEmbeddingLoss(0.2)|MarginRankingLoss(0.1)|MultiMarginLoss(2, 0.5)|TripletMarginLoss(2.0, p=1)
TripletMarginWithDistanceLoss(margin=0.5, swap=True)|CTCLoss(1, zero_infinity=True)
AdaptiveLogSoftmaxWithLoss(4, 10, [3, 5])|AdaptiveLogSoftmaxWithLoss(8, 10, [3], 2.0, True)
LazyLinear(2)|LazyLinear(2, False)|LazyConv1d(4, 3)|LazyConv2d(4, 3, groups=2, bias=False)
LazyConv3d(2, 1)|LazyConvTranspose1d(4, 3)|LazyConvTranspose2d(4, 3, groups=2)
LazyConvTranspose3d(2, 2, bias=False)|LazyBatchNorm1d()|LazyBatchNorm2d(1e-3, None, False)
LazyBatchNorm3d(affine=False, track_running_stats=False)|LazyBatchNorm1d(bias=False)
LazyInstanceNorm1d()|LazyInstanceNorm2d(affine=True, bias=False)|LazyInstanceNorm3d(affine=True)
Sequential()|Sequential(nn.Linear(1, 2), nn.ReLU())|ModuleList()|ModuleList([nn.ReLU(), nn.ReLU()])
ModuleDict({'a': nn.ReLU()})|ModuleDict()|ParameterList()|ParameterDict()|Module()
ParameterList([torch.ones(2), 3])|ParameterDict({'a': torch.ones(2, 3), 'b': 'x'})
"""

EACH = """
m = nn.{text}
m
m.extra_repr()
[(n, type(p).__name__, p.requires_grad) for n, p in m.named_parameters()]
[n for n, _ in m.named_buffers()]
list(m.state_dict())
{{k: tuple(v.shape) for k, v in m.state_dict().items() if not type(v).__name__.startswith("Un")}}
copy.deepcopy(m)
list(copy.deepcopy(m).state_dict())
again(m)
m.eval().training
m.requires_grad_(False) is m
[p.requires_grad for p in m.parameters()]
m.double()
[str(v.dtype)[-2:] for v in m.state_dict().values()]
attributes(m)
"""

DEFAULT = """
torch.set_default_dtype(torch.float64)
m = nn.{text}
[v.dtype == torch.float64 for v in m.state_dict().values() if v.is_floating_point()]
"""

LAYER_TEXTS = [text for line in LAYERS.split("\n") for text in line.split("|") if text]
# Tallow copies, freezes and converts a layer that waits for its size; torch refuses that in part.
WAITING = EACH.partition("copy.deepcopy")[0] + "again(m)\nm.eval().training\nattributes(m)"
PROGRAMS = [(WAITING if "Lazy" in t else EACH).format(text=t) for t in LAYER_TEXTS]
PROGRAMS += [DEFAULT.format(text=t) for t in LAYER_TEXTS if "Lazy" not in t]


@pytest.mark.parametrize("program", PROGRAMS, ids=side_by_side.title)
def test_the_program_does_what_it_does_with_torch(program):
    assert side_by_side.compare(program) == ""
