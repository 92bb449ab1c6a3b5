"""Calls of layers, right and wrong ones, beside torch's: results and errors."""

from __future__ import annotations

import pytest

import side_by_side

pytestmark = pytest.mark.needs_torch

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
---
m = nn.BatchNorm1d(2)
m.running_mean = None
m.eval()(x_of(2, 2))
m.running_var = None
m(x_of(2, 2)).shape
"""


@pytest.mark.parametrize("program", side_by_side.programs(CALLS), ids=side_by_side.title)
def test_the_program_does_what_it_does_with_torch(program):
    assert side_by_side.compare(program) == ""
