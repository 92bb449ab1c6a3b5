"""Modules beside torch's: construction, printing, state, containers, hooks, conversion, errors."""

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

# Programs that begin with `m = …`; every line that is an expression is compared.
CONTAINERS = """
m = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
fill(m)(x_of(4, 2)); m[-1]; m[0:2]; m[::2]; m[5]; m[-4]; m["a"]; len(m); list(m)
---
m = nn.Sequential(nn.ReLU(), nn.Tanh())
m.append(nn.ELU()) is m; m.insert(0, nn.GELU()) is m; m.insert(-1, nn.SELU()); m
m.insert(99, nn.ReLU())
m.insert(1, 3); m.extend([nn.ReLU(), nn.CELU()]) is m; m; m.pop(0); m.pop(-1); m.pop(77); m
---
m = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.ELU())
del m[0]
m; list(m._modules)
del m[0:1]
m
del m[9]
m[0] = nn.GELU()
m[-1] = nn.SELU()
m[4] = nn.ReLU()
m[0] = 3
m
---
a = nn.Sequential(nn.ReLU()); b = nn.Sequential(nn.Tanh())
a + b; (a + b)[0] is a[0]; a + [nn.ReLU()]; a * 2; 2 * a; a * 0; a * 1.5
a += b
a
a *= 2
a
a *= -1
a += 3
a.extend(3); a.extend(nn.ModuleList([nn.ReLU()])); nn.Sequential(3)
nn.Sequential(nn.ReLU, nn.ReLU())
---
m = nn.Sequential(collections.OrderedDict([("a", nn.ReLU()), ("b", nn.Tanh())]))
m; m[0]; m[1:]; m.a; m.b
m.a = nn.ELU()
m; m.append(nn.ReLU()); list(m._modules)
---
m = nn.Sequential(); m(x_of(2)); m.append(None); m.append(3); nn.Sequential(None)
m.add_module("x", nn.ReLU()); m.add_module("y", None); list(m._modules); m
---
m = nn.ModuleList([nn.Linear(1, 1), nn.ReLU()])
m.append(nn.Tanh()) is m; len(m); m[-1]; m[1:3]; m[7]; m[-8]
m.extend([nn.ReLU()]) is m; m.extend(3); m.extend(nn.ReLU()); len(m); nn.ReLU() in m; m[0] in m
m.pop(0); m.pop(-1); m.pop(50); m; m("x"); keys(m)
---
m = nn.ModuleList(nn.ReLU() for _ in range(3))
m += [nn.Tanh()]
m; m + [nn.ELU()]; m + nn.ModuleList([nn.GELU()]); [nn.ReLU()] + m; m + 3
del m[0]
del m[-1]
m
del m[0:1]
m
m[0] = nn.CELU()
m[-1] = nn.SELU()
m[9] = nn.ReLU()
m[0] = None
m; m.add_module("name", nn.ReLU()); list(m._modules); len(dir(m)) > 50
---
m = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)])
m; nn.ModuleList([None]); nn.ModuleList(3); nn.ModuleList([3]); nn.ModuleList({"a": 1})
list(reversed(m))
---
m = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Linear(1, 2)})
m["a"]; m["z"]; "a" in m; "z" in m; len(m); list(m); list(m.keys()); list(m.values())
list(m.items())
m.pop("a"); m.pop("a"); m; m.clear(); m; m["x.y"] = nn.ReLU()
m["k"] = 3
m["keys"] = nn.ReLU()
m[""] = nn.ReLU()
m[1] = nn.ReLU()
m.update({"c": nn.Tanh()}); m.update([("d", nn.ELU())]); m.update([["e", nn.ELU()]]); m.update(3)
m.update([(1, 2, 3)]); m.update([5]); m.update(nn.ModuleDict({"z": nn.ReLU()})); m
m.add_module("q", nn.ReLU())
del m["c"]
del m["c"]
list(m); m.q; m("x")
---
m = nn.ParameterList([torch.ones(2), nn.Parameter(torch.zeros(3)), torch.zeros(1, dtype=torch.float64)])
len(m); m[0]; m[-1]; m[5]; m[0:2]; m[::-1]; keys(m); list(m); m.append(torch.ones(1)) is m
m.append(5)
m.extend([torch.ones(1), "x"]) is m; m.extend(torch.ones(2)); m.extend(3); len(m); m
[p for p in m.parameters()]
m[0] = torch.zeros(4)
m[-1] = 9
m[77] = 0
m[0]; m[-1]; m("x"); m(); m.pop(0)
m += [torch.ones(1)]
m += 3
len(m); m + [1]
del m[0]
torch.ones(1) in nn.ParameterList([3]); 3 in nn.ParameterList([3]); dir(m)[-1]
nn.ParameterList(3); copy.copy(m)
---
m = nn.ParameterDict({"a": torch.ones(2), "b": nn.Parameter(torch.zeros(3), requires_grad=False), "c": 7})
m["a"]; m["b"]; m["c"]; m["z"]; m.a; "a" in m; 3 in m; len(m); list(m); list(reversed(m)); keys(m)
m.get("a"); m.get("z"); m.get("z", 5); m.setdefault("a", 1); m.setdefault("n", torch.ones(1))
m.setdefault("o")
list(m.keys()); list(m.values()); list(m.items()); m.copy(); m.pop("a"); m.pop("a"); m.popitem()
list(m)
m | nn.ParameterDict({"y": torch.ones(1)}); nn.ParameterDict({"y": 1}) | m
m |= nn.ParameterDict({"w": torch.ones(1)})
m.fromkeys(["p", "q"]); m.fromkeys(["p"], torch.ones(1)); m.update({"u": torch.ones(1)})
m.update([("v", 1)]); m.update(3)
m.update([(1, 2, 3)]); m
del m["u"]
del m["u"]
list(m); m("x"); m.clear(); len(m); m.popitem(); m.update(b=2); m.update({"z": 1, "a": 2}); list(m)
"""

ATTRIBUTES = """
m = nn.Module()
m.a = torch.ones(2)
m.a = nn.Buffer(torch.zeros(2))
list(m._buffers); keys(m); m.a
m.a = torch.ones(3)
list(m._buffers); keys(m); m.a
m.a = None
m.a; keys(m); list(m._buffers)
m.a = 3
m.a = nn.Parameter(torch.ones(1))
keys(m); list(m._buffers); list(m._parameters)
m.a = torch.ones(1)
m.a = None
m.a; list(m._parameters)
m.a = nn.Buffer(torch.ones(1))
list(m._parameters); list(m._buffers)
del m.a
m.a
hasattr(m, "a")
---
m = nn.Module()
m.a = 3
m.a = nn.Parameter(torch.ones(1))
list(m._parameters); m.a
m.b = torch.ones(1)
m.b = nn.Parameter(torch.ones(1))
list(m._parameters); m.c = 1
m.c = nn.ReLU()
list(m._modules); m.c
m.c = nn.Parameter(torch.ones(1))
list(m._modules); list(m._parameters)
m.c = nn.ReLU()
list(m._modules); list(m._parameters)
m.c = 3
m.c = None
m.c; m
m.c = torch.ones(1)
m.c = nn.Buffer(torch.ones(1))
list(m._buffers); list(m._modules)
---
m = nn.Module()
m.register_buffer("a", torch.ones(1)); m.register_buffer("a", torch.zeros(2)); m.a
m.register_buffer("b", None); m.b; keys(m)
m.register_buffer("c", torch.ones(1), persistent=False); keys(m)
m.register_buffer("d", 3); m.register_buffer("", torch.ones(1))
m.register_buffer("x.y", torch.ones(1))
m.register_buffer("eval", torch.ones(1)); m.register_buffer(3, torch.ones(1))
m.register_parameter("a", None)
m.register_buffer("p", nn.Parameter(torch.ones(1))); [n for n, _ in m.named_buffers()]
m.register_parameter("q", torch.ones(1)); m.register_parameter("q", nn.Parameter(torch.ones(1)))
m.q
m.register_parameter("q", nn.Parameter(torch.ones(2))); m.q; m.register_parameter("r", None); m.r
m.register_parameter("", None); m.register_parameter("a.b", None)
m.register_parameter("forward", None)
m.register_parameter("s", (torch.ones(1, requires_grad=True) * 2)); m.register_parameter(3, None)
m.add_module("t", nn.ReLU()); m.add_module("t", nn.Tanh()); m.t; m.add_module("u", None); m.u
m.register_module("v", nn.ReLU())
m.add_module("w", 3); m.add_module("", nn.ReLU()); m.add_module("a.b", nn.ReLU())
m.add_module("q", nn.ReLU())
m.add_module("forward", nn.ReLU()); m.add_module(3, nn.ReLU()); m; list(m._modules)
---
m = nn.Module()
m.register_buffer("a", torch.ones(1), False)
m.a = torch.zeros(1)
keys(m)
m.a = nn.Buffer(torch.zeros(1))
keys(m)
m.a = nn.Buffer(torch.zeros(1), persistent=False)
keys(m); m._non_persistent_buffers_set
del m.a
m._non_persistent_buffers_set
m.register_buffer("a", torch.ones(2)); keys(m)
m.a = "x"
del m.zzz
m.__class__.__name__; m.nothing
---
nn.Parameter(torch.arange(3)); nn.Parameter(torch.arange(3), requires_grad=False)
nn.Parameter(torch.ones(2))
nn.Parameter(); nn.Parameter(torch.ones(2) > 0); nn.Parameter(torch.ones(2) > 0, False)
nn.Parameter(None)
nn.Parameter(torch.arange(3), False).requires_grad_(True); nn.Buffer(torch.arange(3)); nn.Buffer()
nn.Buffer(torch.ones(2), persistent=False).persistent; isinstance(torch.ones(1), nn.Buffer)
nn.Buffer(torch.ones(2)); isinstance(nn.Buffer(torch.ones(1)), torch.Tensor)
isinstance(nn.Buffer(torch.ones(1)), nn.Buffer)
p = nn.Parameter(torch.ones(2)); copy.deepcopy(p); again(p); repr(p); str(p); p + 1; p.data
p.detach(); p[0]; p.clone()
q = nn.Parameter(p); q is p; isinstance(q, nn.Parameter); nn.Parameter(p * 2).is_leaf
---
m = nn.Linear(2, 2)
m.bias = None
m.bias; keys(m); m; m.weight = torch.ones(2, 2)
m.weight = 3
m.weight = nn.Parameter(torch.ones(2, 2))
m(torch.ones(1, 2)); del m.bias
m(torch.ones(1, 2)); m.in_features
m.x = [nn.ReLU()]
m; m.__dict__["y"] = 5
m.y
"""

WALKS = """
m = fill(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))))
m[1].add_module("same", m[0])
m.shared = m[0].weight
[n for n, _ in m.named_parameters()]; [n for n, _ in m.named_parameters(remove_duplicate=False)]
[n for n, _ in m.named_parameters("p")]
[n for n, _ in m.named_parameters(prefix="p", recurse=False)]
[n for n, _ in m.named_modules()]; [n for n, _ in m.named_modules(remove_duplicate=False)]
[n for n, _ in m.named_modules(prefix="q")]; [n for n, _ in m.named_buffers()]
[n for n, _ in m.named_buffers("b", False)]
[n for n, _ in m.named_children()]; len(list(m.children())); len(list(m.modules()))
len(list(m.parameters(False)))
list(m.state_dict()); list(m.state_dict(prefix="a."))
list(m.state_dict(keep_vars=True).values())[0].requires_grad
m.get_submodule("1.0"); m.get_submodule(""); m.get_submodule("1.x"); m.get_submodule("0.weight")
m.get_parameter("1.0.bias")
m.get_parameter("1.x"); m.get_parameter("1.1.running_mean"); m.get_buffer("1.1.running_mean")
m.get_buffer("1.0.weight")
m.set_submodule("1.0", nn.ReLU()); m; m.set_submodule("", nn.ReLU())
m.set_submodule("7.0", nn.ReLU()); m.set_submodule("1.9", nn.ReLU())
m.set_submodule("1.8", nn.ReLU(), strict=True); m.set_submodule("1.1", 3); m
---
m = nn.Sequential(nn.Linear(1, 1), nn.Dropout())
m.train(False).training; m[1].training; m.train()[1].training; m.eval() is m; m.train(3)
m.train("x"); m.train(0); m.train(1).training
names = []
m.apply(lambda k: names.append(type(k).__name__)) is m; names; m.requires_grad_()
m.requires_grad_(False)[0].weight.requires_grad
---
m = fill(nn.Linear(2, 1))
m(x_of(3, 2)).sum().backward(); m.weight.grad; m.zero_grad(); m.weight.grad
m(x_of(3, 2)).sum().backward(); m.zero_grad(set_to_none=False); m.weight.grad; m.zero_grad(True)
m.bias.grad
m(x_of(3, 2)).sum().backward(); m.double().weight.grad; m.half().weight; m.float()
m.bfloat16().bias; m.float().weight.grad.dtype == torch.float32
m.to(torch.float64).weight; m.to("cpu").weight; m.to(dtype=torch.float32).weight
m.to(torch.zeros(1, dtype=torch.float64)).bias
m.to(torch.int64); m.to(); m.to("nothing"); m.type(torch.float32).weight
m.type(torch.float16).bias; m.cpu() is m
m.to(torch.device("cpu"), torch.float32).weight; m.to("cpu", torch.float64, True).weight
---
m = nn.BatchNorm1d(2).double()
m; m.num_batches_tracked; m.half().running_mean; m.num_batches_tracked
m.type(torch.float64).num_batches_tracked
---
m = nn.Module(); m(3); m.forward(3); m.extra_repr(); repr(m); m.state_dict()
m.load_state_dict({}); nn.Module(1); nn.Module(a=1)
---
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))
        self.register_buffer("b", torch.zeros(1))
        self.k = nn.Linear(1, 1)
    def forward(self, x, y=2):
        return x * self.w + y
    def extra_repr(self):
        return "one\\ntwo"
m = A()
m; m(torch.ones(2)); m(torch.ones(2), y=3); m(); copy.deepcopy(m)(torch.ones(2))
copy.copy(m).w is m.w; keys(m)
m.reset_parameters; m.w.requires_grad; m.training
m.x = 3
m.w = torch.ones(3)
m.w = "x"
m.k = 5
m.b = 5
---
class B(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n
B(); B(3).n; B(3)(1); B(n=4)
"""

STATE = """
m = fill(nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)))
s = m.state_dict()
type(s).__name__; s._metadata; m.load_state_dict(s); repr(m.load_state_dict(s))
s["zzz"] = torch.ones(1)
m.load_state_dict(s); m.load_state_dict(s, strict=False); s.pop("0.weight")
m.load_state_dict(s, strict=False).missing_keys
m.load_state_dict(s, strict=False).unexpected_keys; s["0.bias"] = torch.ones(5)
m.load_state_dict(s, strict=False); s["0.bias"] = 3
m.load_state_dict(s, strict=False); m.load_state_dict(3); m.load_state_dict([("a", 1)])
m.load_state_dict({})
---
m = fill(nn.Linear(2, 1))
s = {"weight": torch.ones(1, 2, dtype=torch.float64), "bias": torch.zeros(1)}
m.load_state_dict(s); m.weight; m.load_state_dict(s, assign=True); m.weight; m.bias is s["bias"]
m.bias
m.requires_grad_(False).load_state_dict({"weight": torch.ones(1, 2), "bias": torch.zeros(1)}, assign=True)
m.weight
p = nn.Parameter(torch.ones(1, 2))
m.load_state_dict({"weight": p, "bias": torch.zeros(1)}, assign=True); m.weight is p; m.weight
m.load_state_dict({"weight": torch.ones(1, 2), "bias": torch.zeros(())}, strict=False)
m.load_state_dict({"weight": np.ones((1, 2)), "bias": torch.zeros(1)})
m.load_state_dict({"weight": torch.ones(1, 2, dtype=torch.int64), "bias": torch.zeros(1)}); m.weight
---
class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))
        self.e = 0
    def get_extra_state(self):
        return {"e": self.e}
    def set_extra_state(self, s):
        self.e = s["e"]
m = A()
m.e = 5
m.state_dict(); n = nn.Sequential(A()); n.state_dict()
n.load_state_dict({"0.w": torch.zeros(1), "0._extra_state": {"e": 7}}); n[0].e
n.load_state_dict({"0.w": torch.zeros(1)}); n.load_state_dict({"0.w": torch.zeros(1)}, strict=False)
nn.Linear(1, 1).get_extra_state(); nn.Linear(1, 1).set_extra_state(3)
nn.Linear(1, 1, False).load_state_dict({"weight": torch.ones(1, 1), "_extra_state": 1})
---
class A(nn.Linear):
    _version = 3
    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        seen.append((prefix, dict(local_metadata), strict))
        if prefix + "w" in state_dict:
            state_dict[prefix + "weight"] = state_dict.pop(prefix + "w")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
seen = []
m = nn.Sequential(A(1, 1), A(1, 1, bias=False))
m.load_state_dict({"0.w": torch.ones(1, 1), "0.bias": torch.ones(1), "1.w": torch.zeros(1, 1)})
seen; m[0].weight; m[1].weight
seen.clear(); m.load_state_dict(m.state_dict()); seen; seen.clear()
m.load_state_dict({}, strict=False); seen
seen.clear(); m.load_state_dict(m.state_dict(), assign=True); seen
---
m = nn.Sequential(nn.Linear(1, 1))
told = []
h = m.register_state_dict_pre_hook(lambda mod, prefix, keep: told.append((type(mod).__name__, prefix, keep)))
m[0].register_state_dict_post_hook(lambda mod, sd, prefix, meta: told.append((list(sd), prefix, dict(meta))))
m[0]._register_state_dict_hook(lambda mod, sd, prefix, meta: sd.pop(prefix + "bias") and None)
keys(m); told; h.remove(); told.clear(); keys(m); told
m[0].register_state_dict_post_hook(lambda *a: {}); m.state_dict()
---
m = nn.Sequential(nn.Linear(1, 1))
told = []
m.register_load_state_dict_pre_hook(lambda mod, sd, prefix, meta, strict, miss, un, err: told.append((type(mod).__name__, sorted(sd), prefix, strict)))
m[0]._register_load_state_dict_pre_hook(lambda sd, prefix, meta, strict, miss, un, err: told.append((sorted(sd), prefix)))
h = m.register_load_state_dict_post_hook(lambda mod, inc: inc.missing_keys.clear())
m.load_state_dict({"0.weight": torch.ones(1, 1)}); told; h.remove()
m.load_state_dict({"0.weight": torch.ones(1, 1)})
m.register_load_state_dict_post_hook(lambda mod, inc: 3); m.load_state_dict(m.state_dict())
---
m = fill(nn.Linear(1, 1))
d = collections.OrderedDict()
m.state_dict(destination=d) is d; list(d); m.state_dict(destination=d, prefix="x.") is d; list(d)
m.state_dict(d, "y."); list(d)
[v.requires_grad for v in m.state_dict().values()]
m.state_dict()["weight"].data_ptr() == m.weight.data_ptr()
"""

HOOKS = """
m = fill(nn.Linear(2, 2))
x = x_of(1, 2)
told = []
h = m.register_forward_hook(lambda mod, a, out: told.append(("f", len(a), out)))
g = m.register_forward_pre_hook(lambda mod, a: told.append(("p", a)))
m(x); told; told.clear(); g.remove(); m(x); told; h.remove(); h.remove(); told.clear(); m(x); told
m.register_forward_pre_hook(lambda mod, a: a[0] * 2); m(x)
m.register_forward_pre_hook(lambda mod, a: (a[0] + 1,)); m(x)
m.register_forward_hook(lambda mod, a, out: out * 3); m(x)
m.register_forward_hook(lambda mod, a, out: (out, 1), prepend=True)
m(x)
---
class A(nn.Module):
    def forward(self, x, *, k=1):
        if k == 9:
            raise KeyError("nine")
        return x * k
m = A()
told = []
m.register_forward_pre_hook(lambda mod, a, kw: (a, {"k": kw["k"] + 1}), with_kwargs=True)
m.register_forward_hook(lambda mod, a, kw, out: told.append((a, kw, out)), with_kwargs=True)
m(2, k=3); told
m.register_forward_hook(lambda mod, a, out: told.append(("always", out)), always_call=True)
m(2, k=8); told[-1]; m.register_forward_pre_hook(lambda mod, a, kw: 3, with_kwargs=True); m(2, k=3)
m = A(); m.register_forward_pre_hook(lambda mod, a, kw: None, with_kwargs=True); m(2, k=4)
---
m = fill(nn.Linear(2, 2))
x = x_of(3, 2).requires_grad_()
told = []
m.register_full_backward_hook(lambda mod, gi, go: told.append((gi, go)))
m.register_full_backward_pre_hook(lambda mod, go: told.append(go))
m(x).sum().backward(); told; x.grad; x.grad = None
h = m.register_full_backward_hook(lambda mod, gi, go: (gi[0] * 2,)); m(x).sum().backward(); x.grad
h.remove(); x.grad = None
h = m.register_full_backward_pre_hook(lambda mod, go: (go[0] * 5,)); m(x).sum().backward(); x.grad
h.remove()
m.register_full_backward_hook(lambda mod, gi, go: (1, 2)); m(x).sum().backward()
---
m = nn.Linear(1, 1)
with m.register_forward_hook(lambda *a: None) as h:
    n = len(m._forward_hooks)
n; len(m._forward_hooks); h.id in m._forward_hooks; m.register_forward_hook(3) is None
m(torch.ones(1, 1))
---
m = fill(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
order = []
for i, k in enumerate(m.modules()):
    _ = k.register_forward_hook(lambda mod, a, o, i=i: order.append(i))
m(x_of(1, 2)).shape; order; copy.deepcopy(m)(x_of(1, 2)).shape; order
"""

CALLS = """
nn.RNN(3, 4, proj_size=2); nn.GRU(3, 4, proj_size=2); nn.LSTM(3, 4, proj_size=4)
nn.LSTM(3, 4, proj_size=-1); nn.RNN(3, 4, nonlinearity="x")
nn.LSTM(3, 0); nn.LSTM(3, 4, 0); nn.LSTM(3, 4, dropout=2); nn.LSTM(3, 4, dropout=True)
nn.LSTM(3, "4"); nn.LSTM(3, 4.0); nn.RNNBase("x", 3, 4)
nn.GRU(3, 4, proj_size=0); nn.LSTM(3); nn.LSTM(3, 4, 1, True, False, 0.0, False, 2)
---
m = fill(nn.LSTM(3, 4, 2, proj_size=2, batch_first=True)); m(x_of(2, 3, 3)); m(x_of(3, 3))
m(x_of(2, 3, 4)); m(x_of(3)); m(x_of(1, 2, 3, 3)); m(x_of(2, 3, 3), x_of(2, 2, 4)); m.all_weights
m(x_of(2, 3, 3), (x_of(2, 2, 2), x_of(2, 2, 4))); m.mode; m._flat_weights_names; m._all_weights
m.flatten_parameters(); m.reset_parameters()
---
m = fill(nn.RNN(3, 4, 1, "relu", bidirectional=True)); m(x_of(2, 1, 3))
m(x_of(2, 1, 3), x_of(1, 1, 4)); m(x_of(2, 1, 3), x_of(2, 1, 4)); m.double(); m(x_of(2, 1, 3))
---
m = fill(nn.GRUCell(3, 4)); m(x_of(2, 3)); m(x_of(3)); m(x_of(2, 4)); m(x_of(2, 3), x_of(2, 5))
m(x_of(2, 3), x_of(2, 4)); fill(nn.LSTMCell(3, 4))(x_of(2, 3)); m(x_of(1, 2, 3))
---
m = nn.LazyConv2d(4, 3, groups=2); fill(m(x_of(1, 6, 5, 5)) is None or m); m; m.weight.shape
m(x_of(1, 6, 5, 5)); keys(m)
m = nn.LazyConv1d(4, 3); m(x_of(2, 2, 5)).shape; type(m).__name__; m.in_channels
nn.LazyConv1d(4, 3)(x_of(5)); nn.LazyConv2d(4, 3, groups=2)(x_of(1, 3, 5, 5))
m = nn.LazyConvTranspose2d(4, 3, groups=2); m(x_of(1, 6, 5, 5)).shape; m.weight.shape
---
m = nn.LazyBatchNorm1d(bias=False); m(x_of(4, 3)); m; keys(m); m = nn.LazyInstanceNorm2d()
m(x_of(1, 2, 3, 3)); m; keys(m); nn.LazyBatchNorm2d()(x_of(2, 3))
m = nn.LazyLinear(2); m.weight; m.in_features; m.weight.shape; m.state_dict()
fill(m(x_of(1, 3)) is None or m)(x_of(1, 3)); m; m.has_uninitialized_params
m = nn.LazyInstanceNorm1d(); m(x_of(2, 3)); m; m = nn.LazyInstanceNorm3d(); m(x_of(2, 3, 4, 4)); m
---
nn.Conv2d(3, 4, 3, groups=2); nn.Conv2d(4, 3, 3, groups=2); nn.Conv2d(4, 4, 3, groups=0)
nn.Conv2d(1, 1, 3, padding="x"); nn.Conv2d(1, 1, 3, padding="same", stride=2)
nn.Conv2d(1, 1, 3, padding_mode="x"); nn.ConvTranspose2d(1, 1, 3, padding_mode="circular")
nn.Conv2d(1, 1, 3)(x_of(1, 2, 5, 5)); nn.Conv2d(1, 1, 3)(x_of(5, 5)); nn.Conv2d(1, 1)
fill(nn.Conv2d(1, 1, 3))(x_of(1, 5, 5))
fill(nn.Conv1d(1, 2, 3, padding="same", padding_mode="reflect"))(x_of(1, 1, 6))
fill(nn.ConvTranspose1d(1, 1, 2, 2))(x_of(1, 1, 3), output_size=[7])
fill(nn.ConvTranspose1d(1, 1, 2, 2))(x_of(1, 1, 3), output_size=[9])
fill(nn.Conv1d(2, 2, 1, dtype=torch.float64))(x_of(1, 2, 3).double())
---
nn.GroupNorm(3, 4); nn.LayerNorm(3)(x_of(2, 4)); nn.BatchNorm1d(3)(x_of(2, 4))
nn.BatchNorm1d(3)(x_of(2, 3, 4, 5)); nn.BatchNorm2d(3)(x_of(2, 3)); nn.BatchNorm1d(3)(x_of(1, 3))
nn.InstanceNorm1d(3)(x_of(2, 3, 1))
m = nn.BatchNorm1d(2, momentum=None); m(x_of(3, 2)); m.running_mean; m(x_of(4, 2)); m.running_var
m.num_batches_tracked; m.reset_running_stats(); m.running_var; m.eval()(x_of(2, 2))
nn.InstanceNorm2d(3)(x_of(1, 2, 3, 3))
m = nn.BatchNorm1d(2, track_running_stats=False).eval(); m(x_of(3, 2)); keys(m)
nn.RMSNorm(3)(x_of(2, 3)); nn.RMSNorm((2, 3), 1e-3)(x_of(2, 3))
nn.LocalResponseNorm(2)(x_of(1, 3, 4))
---
nn.Embedding(3, 2, 5); nn.Embedding(3, 2, -4); nn.Embedding(3, 2, padding_idx=-1).padding_idx
nn.Embedding(3, 2, 0).weight[0]; nn.Embedding.from_pretrained(torch.ones(3, 2)).weight
nn.Embedding.from_pretrained(torch.ones(3)); nn.Embedding(3, 2)(torch.tensor([3]))
nn.Embedding(3, 2)(torch.tensor([1.0])); nn.Embedding.from_pretrained(torch.ones(3, 2), False, 1)
fill(nn.Embedding(3, 2, max_norm=0.1))(torch.tensor([1, 2]))
fill(nn.EmbeddingBag(3, 2))(torch.tensor([[1, 2]]))
fill(nn.EmbeddingBag(3, 2, mode="sum"))(torch.tensor([1, 2, 0]), torch.tensor([0, 1]))
nn.EmbeddingBag(3, 2, mode="x")(torch.tensor([[1]]))
nn.EmbeddingBag.from_pretrained(torch.ones(3, 2)).weight
nn.EmbeddingBag(3, 2, padding_idx=1); nn.EmbeddingBag(3, 2, scale_grad_by_freq=True, mode="max")
nn.Embedding(3, 2, _weight=torch.ones(2, 2))
---
nn.Dropout(2); nn.Dropout(-0.1); nn.Dropout2d(1.5); nn.AlphaDropout(3); nn.Dropout("x")
nn.Dropout(1)(torch.ones(3)); nn.Dropout(0)(torch.ones(3)); nn.Dropout(0.5).eval()(torch.ones(2))
nn.Identity()(3); nn.Identity(1, a=2)(torch.ones(1)); nn.Identity()()
nn.Softmax()(x_of(2, 2)); nn.Softmax(5)(x_of(2)); nn.Softmax2d()(x_of(2, 2)); nn.GLU()(x_of(3))
nn.PReLU(3)(x_of(2, 4)); nn.GELU("x")(x_of(2)); nn.Threshold(1); nn.Hardtanh(2, 1)
nn.LeakyReLU(None); nn.LeakyReLU(0.2)(x_of(3)); nn.Hardshrink()(x_of(4))
nn.Softplus(2, 1)(x_of(4)); nn.RReLU().eval()(x_of(4)); nn.ReLU6()(x_of(3) * 9)
isinstance(nn.ReLU6(), nn.Hardtanh)
---
nn.Flatten()(x_of(2, 3, 4)).shape; nn.Flatten(0)(x_of(2, 3)); nn.Flatten(3)(x_of(2))
nn.Unflatten(1, (2, 3))(x_of(1, 6)).shape; nn.Unflatten(1, (2, 4))(x_of(1, 6)); nn.Unflatten(1, 3)
nn.Unflatten("a", (2, 3)); nn.Unflatten(1, (2.0, 3))
nn.Unflatten(0, torch.Size([2, -1]))(x_of(4)).shape
nn.Upsample(scale_factor=2)(x_of(1, 1, 3)); nn.Upsample(4, 2)(x_of(1, 1, 3))
nn.Upsample()(x_of(1, 1, 3)); nn.PixelShuffle(2)(x_of(1, 4, 2, 2))
nn.PixelShuffle(2)(x_of(1, 3, 2, 2)); nn.PixelUnshuffle(2)(x_of(1, 1, 4, 4))
nn.ChannelShuffle(2)(x_of(1, 4, 2)); nn.ChannelShuffle(3)(x_of(1, 4, 2))
nn.ReflectionPad1d(2)(x_of(1, 1, 2)); nn.ConstantPad1d(1)(x_of(1, 2))
nn.CosineSimilarity(0)(x_of(3), x_of(3) + 1); nn.PairwiseDistance()(x_of(2, 3), x_of(2, 3) + 1)
---
nn.MaxPool1d(2, return_indices=True)(x_of(1, 1, 5)); nn.MaxPool2d(2)(x_of(4, 4))
nn.AvgPool1d(3, 2, 1)(x_of(1, 1, 5)); nn.MaxPool2d(2, padding=2)(x_of(1, 1, 4, 4))
nn.AvgPool2d(2, divisor_override=0)(x_of(1, 1, 4, 4))
nn.AdaptiveAvgPool2d((None, 2))(x_of(1, 1, 4, 4)); nn.AdaptiveMaxPool1d(2, True)(x_of(1, 1, 5))
nn.LPPool1d(2, 2)(x_of(1, 1, 5))
nn.MaxUnpool1d(2)(*nn.MaxPool1d(2, return_indices=True)(x_of(1, 1, 4)))
nn.AvgPool1d([2], stride=[1]); nn.AvgPool1d((2,))(x_of(1, 1, 5)); nn.FractionalMaxPool2d(2)
nn.FractionalMaxPool2d(2, output_ratio=1.5); nn.FractionalMaxPool2d(2, 2, 0.5)
nn.FractionalMaxPool2d(2, output_ratio=(0.5, 0.6)).output_ratio; nn.AvgPool2d()
---
nn.CrossEntropyLoss(reduction="x")(x_of(2, 3), torch.tensor([0, 1]))
nn.CrossEntropyLoss(size_average=False).reduction; nn.MSELoss(reduce=False).reduction
nn.CrossEntropyLoss(torch.ones(3)); keys(nn.CrossEntropyLoss(torch.ones(3)))
nn.NLLLoss(weight=torch.ones(2)).weight; nn.BCELoss()(torch.tensor([2.0]), torch.tensor([1.0]))
nn.HuberLoss(delta=0)(x_of(2), x_of(2)); nn.HuberLoss(delta=-1)
nn.SmoothL1Loss(beta=-1)(x_of(2), x_of(2)); nn.TripletMarginLoss(-1); nn.MultiMarginLoss(p=3)
nn.MultiMarginLoss(weight=torch.ones(2, 2)); nn.MSELoss()(x_of(2), x_of(3)); nn.CTCLoss("x")
nn.PoissonNLLLoss(eps=1)(x_of(2), x_of(2)); nn.KLDivLoss()(x_of(2), x_of(2)); nn.L1Loss("x")
nn.GaussianNLLLoss()(x_of(2), x_of(2), -torch.ones(2))
---
nn.MultiheadAttention(5, 2); nn.MultiheadAttention(0, 1); nn.MultiheadAttention(4, 0)
m = fill(nn.MultiheadAttention(4, 2)); m(x_of(3, 1, 4), x_of(3, 1, 4), x_of(3, 1, 4))
m(x_of(3, 4), x_of(3, 4), x_of(3, 4), need_weights=False)
m(x_of(3, 1, 4), x_of(3, 1, 4), x_of(3, 1, 4), average_attn_weights=False)
m(x_of(3, 1, 5), x_of(3, 1, 5), x_of(3, 1, 5))
m(x_of(3, 1, 4), x_of(3, 1, 4), x_of(3, 1, 4), is_causal=True); m.head_dim; m._qkv_same_embed_dim
m.bias_k; m.in_proj_bias.shape
nn.TransformerEncoderLayer(4, 2, activation="x"); nn.TransformerEncoderLayer(4, 3)
fill(nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, activation=F.gelu))(x_of(2, 1, 4))
fill(nn.TransformerDecoderLayer(4, 2, 8, 0.0, norm_first=True))(x_of(2, 1, 4), x_of(3, 1, 4))
nn.Transformer.generate_square_subsequent_mask(3)
fill(nn.Transformer(4, 2, 1, 1, 8).eval())(x_of(2, 1, 4), x_of(2, 1, 4))
nn.Transformer(4, 2, 1, 1, 8)(x_of(2, 1, 4), x_of(2, 1, 5))
nn.Transformer(4, 2, 1, 1, 8)(x_of(2, 1, 4), x_of(2, 2, 4))
---
nn.Linear(0, 2)(torch.ones(1, 0)); nn.Linear(2, 0)(torch.ones(1, 2)).shape; nn.Linear(-1, 2)
nn.Linear(2.5, 2); nn.Linear("a", 2); nn.Linear(2); nn.Linear(2, 2)(torch.ones(3))
nn.Linear(2, 2)(3); nn.Linear(2, 2, dtype=torch.float64).weight.dtype == torch.float64
nn.Linear(2, 2, dtype=torch.int64); nn.Linear(2, 2, device="nothing")
nn.Linear(2, 2, device="cpu").weight.device; nn.Bilinear(0, 1, 1)
fill(nn.Bilinear(1, 2, 1))(x_of(2, 1), x_of(2, 2)); nn.Linear(2, 2)(torch.ones(1, 2).long())
"""

MORE = """
m = nn.Linear(2, 1)
m.xpu(); m.ipu(); m.compile(); m.share_memory() is m; m.weight.is_shared(); m.to_empty(device="cpu") is m
---
m = nn.BatchNorm1d(2)
m.running_mean = None
m.eval()(x_of(2, 2))
m.running_var = None
m(x_of(2, 2)).shape
---
every = nn.modules.module
m = fill(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
told = []
a = every.register_module_forward_pre_hook(lambda mod, args: told.append(type(mod).__name__))
b = every.register_module_forward_hook(lambda mod, args, out: told.append(out))
c = every.register_module_full_backward_hook(lambda mod, gi, go: told.append(go))
d = every.register_module_full_backward_pre_hook(lambda mod, go: told.append(go))
m(x_of(1, 2).requires_grad_()).sum().backward()
[h.remove() for h in (a, b, c, d)]
told; told.clear(); m(x_of(1, 2)).shape; told
---
l = [nn.Linear(1, 1) for _ in range(2)]
nn.ModuleList(l)[torch.tensor(1)] is l[1]; nn.Sequential(*l)[np.int64(0)] is l[0]; nn.ModuleList(l)[True] is l[1]
"""

for text in (MORE, CONTAINERS, ATTRIBUTES, WALKS, STATE, HOOKS, CALLS):
    PROGRAMS += [part.strip() for part in text.split("---\n")]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda text: text.strip().partition("\n")[0][:60])
def test_the_program_does_what_it_does_with_torch(program):
    assert side_by_side.compare(program) == ""
