"""What type checkers know of `tallow.nn`, whose layers are imported when first used."""

# ruff: noqa: F403

from tallow.nn import functional as functional
from tallow.nn import init as init
from tallow.nn import utils as utils
from tallow.nn.activation import *
from tallow.nn.container import *
from tallow.nn.conv import Conv1d as Conv1d
from tallow.nn.conv import Conv2d as Conv2d
from tallow.nn.conv import Conv3d as Conv3d
from tallow.nn.conv import ConvTranspose1d as ConvTranspose1d
from tallow.nn.conv import ConvTranspose2d as ConvTranspose2d
from tallow.nn.conv import ConvTranspose3d as ConvTranspose3d
from tallow.nn.conv import Fold as Fold
from tallow.nn.conv import Unfold as Unfold
from tallow.nn.dropout import *
from tallow.nn.embedding import *
from tallow.nn.fractional_pool import FractionalMaxPool2d as FractionalMaxPool2d
from tallow.nn.fractional_pool import FractionalMaxPool3d as FractionalMaxPool3d
from tallow.nn.lazy import LazyBatchNorm1d as LazyBatchNorm1d
from tallow.nn.lazy import LazyBatchNorm2d as LazyBatchNorm2d
from tallow.nn.lazy import LazyBatchNorm3d as LazyBatchNorm3d
from tallow.nn.lazy import LazyConv1d as LazyConv1d
from tallow.nn.lazy import LazyConv2d as LazyConv2d
from tallow.nn.lazy import LazyConv3d as LazyConv3d
from tallow.nn.lazy import LazyConvTranspose1d as LazyConvTranspose1d
from tallow.nn.lazy import LazyConvTranspose2d as LazyConvTranspose2d
from tallow.nn.lazy import LazyConvTranspose3d as LazyConvTranspose3d
from tallow.nn.lazy import LazyInstanceNorm1d as LazyInstanceNorm1d
from tallow.nn.lazy import LazyInstanceNorm2d as LazyInstanceNorm2d
from tallow.nn.lazy import LazyInstanceNorm3d as LazyInstanceNorm3d
from tallow.nn.lazy import LazyLinear as LazyLinear
from tallow.nn.lazy import LazyModuleMixin as LazyModuleMixin
from tallow.nn.linear import *
from tallow.nn.loss import *
from tallow.nn.module import Module as Module
from tallow.nn.module import tie as tie
from tallow.nn.norm import *
from tallow.nn.parameter import Buffer as Buffer
from tallow.nn.parameter import Param as Param
from tallow.nn.parameter import Parameter as Parameter
from tallow.nn.parameter import deferred as deferred
from tallow.nn.parameter import param as param
from tallow.nn.pool import *
from tallow.nn.recurrent import GRU as GRU
from tallow.nn.recurrent import LSTM as LSTM
from tallow.nn.recurrent import RNN as RNN
from tallow.nn.recurrent import RNNBase as RNNBase
from tallow.nn.recurrent_cells import *
from tallow.nn.shaping import *
from tallow.nn.transformer import MultiheadAttention as MultiheadAttention
from tallow.nn.transformer import Transformer as Transformer
from tallow.nn.transformer import TransformerDecoder as TransformerDecoder
from tallow.nn.transformer import TransformerDecoderLayer as TransformerDecoderLayer
from tallow.nn.transformer import TransformerEncoder as TransformerEncoder
from tallow.nn.transformer import TransformerEncoderLayer as TransformerEncoderLayer
from tallow.nn.uninitialized import UninitializedBuffer as UninitializedBuffer
from tallow.nn.uninitialized import UninitializedParameter as UninitializedParameter
