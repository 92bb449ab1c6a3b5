"""Modules of PyTorch that are only another path to names: module → the module that has them."""

from __future__ import annotations

_LAYERS = (
    "activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold "
    "instancenorm lazy linear loss module normalization padding pixelshuffle pooling rnn sparse "
    "transformer upsampling utils"
)
_OPTIMISERS = (
    "adadelta adagrad adam adamax adamw asgd lbfgs nadam optimizer radam rmsprop rprop sgd "
    "sparse_adam"
)
_DISTRIBUTIONS = (
    "bernoulli beta binomial categorical cauchy chi2 continuous_bernoulli dirichlet distribution "
    "exp_family exponential fishersnedecor gamma generalized_pareto geometric gumbel half_cauchy "
    "half_normal independent inverse_gamma kumaraswamy laplace lkj_cholesky log_normal "
    "logistic_normal lowrank_multivariate_normal mixture_same_family multinomial "
    "multivariate_normal negative_binomial normal one_hot_categorical pareto poisson "
    "relaxed_bernoulli relaxed_categorical studentT transformed_distribution uniform von_mises "
    "weibull wishart kl"
)

_CUDA = "random memory graphs comm jiterator profiler streams tunable"

# Paths are relative to this package; a target that starts with "tallow." is a module of Tallow.
ALIASES: dict[str, str] = {
    "nn.modules": "nn",
    **{f"nn.modules.{name}": "nn" for name in _LAYERS.split()},
    "nn.parameter": "nn",
    "nn.utils.clip_grad": "nn.utils",
    "nn.utils.convert_parameters": "nn.utils",
    "nn.parallel.data_parallel": "nn.parallel",
    "nn.parallel.distributed": "nn.parallel",
    **{f"optim.{name}": "optim" for name in _OPTIMISERS.split()},
    "utils.data.dataloader": "utils.data",
    "utils.data.dataset": "utils.data",
    "utils.data.sampler": "utils.data",
    "utils.data.distributed": "utils.data",
    "utils.data._utils": "utils.data",
    "utils.data._utils.collate": "utils.data",
    "autograd.variable": "autograd",
    "autograd.function": "autograd",
    "autograd.grad_mode": "autograd",
    "autograd.gradcheck": "autograd",
    "autograd.anomaly_mode": "autograd",
    "autograd.functional": "tallow.autograd.functional",
    **{f"distributions.{name}": "distributions" for name in _DISTRIBUTIONS.split()},
    "cuda.amp.autocast_mode": "cuda.amp",
    "cuda.amp.grad_scaler": "cuda.amp",
    **{f"cuda.{name}": "cuda" for name in _CUDA.split()},
    "distributed.distributed_c10d": "distributed",
    "distributed.fsdp.fully_sharded_data_parallel": "distributed.fsdp",
    "ao.quantization": "quantization",
    "ao.nn": "nn",
    "ao.nn.quantized": "nn.quantized",
    "quantization.quantize_fx": "quantization",
    "ao.quantization.quantize_fx": "quantization",
    "amp.autocast_mode": "amp",
    "amp.grad_scaler": "amp",
    "fx.node": "fx",
    "fx.experimental": "fx",
    "fx.experimental.proxy_tensor": "fx",
    "fx.experimental.symbolic_shapes": "fx",
    "fx.graph": "fx",
    "fx.graph_module": "fx",
    "fx.proxy": "fx",
    "fx.interpreter": "fx",
    "fx._symbolic_trace": "fx",
    "linalg": "tallow.linalg",
    "fft": "tallow.fft",
    "special": "tallow.special",
    "_jit_internal": "jit",
    "_subclasses.fake_tensor": "_subclasses",
    "jit.annotations": "jit",
    "_custom_ops": "library",
    "_dynamo.utils": "_dynamo",
    "_dynamo.eval_frame": "_dynamo",
    "onnx.symbolic_helper": "onnx",
    "onnx.symbolic_opset9": "onnx",
    "onnx.symbolic_opset11": "onnx",
    "onnx.operators": "onnx",
}
