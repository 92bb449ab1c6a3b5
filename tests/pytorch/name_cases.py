"""What each name of PyTorch that public programs use does here: an expression per name.

`names.txt` lists the names that 702 public files use. An expression is evaluated on `torch` (ours
or PyTorch's own) with x (2, 3), m (3, 3) positive definite, v (3,), i (2, 3) indices, b bool,
image (1, 2, 6, 6), and seq (2, 4, 3); it gives a tensor, a number, or a nesting of them. Random
ones give shapes or facts.
"""

T = "torch."
F = "torch.nn.functional."
N = "torch.nn."

UNARY = [
    "abs",
    "acos",
    "cos",
    "sin",
    "tan",
    "exp",
    "log",
    "log1p",
    "log2",
    "log10",
    "sqrt",
    "rsqrt",
    "square",
    "neg",
    "sign",
    "ceil",
    "floor",
    "round",
    "tanh",
    "sigmoid",
    "relu",
    "erf",
    "erfinv",
    "digamma",
    "lgamma",
    "isnan",
    "arccos",
    "arcsin",
    "arctan",
]
CASES: dict[str, str] = {T + name: f"torch.{name}(v)" for name in UNARY}
CASES |= {
    T + name: f"torch.{name}(x.abs(), x.abs() * 2 + 0.5)"
    for name in [
        "add",
        "mul",
        "pow",
        "maximum",
        "minimum",
        "fmod",
        "eq",
        "equal",
        "allclose",
        "isclose",
        "dist",
    ]
}
CASES |= {T + name: f"torch.{name}(x)" for name in ["sum", "mean", "max", "min", "prod", "std", "var", "std_mean", "norm", "argmax", "all", "aminmax", "is_tensor", "numel", "unique", "nonzero", "zeros_like", "ones_like", "clone", "trapezoid"]}  # fmt: skip
CASES |= {
    T + "cat": "torch.cat([x, x], 1)", T + "stack": "torch.stack([x, x])",
    T + "hstack": "torch.hstack([x, x])", T + "chunk": "torch.chunk(x, 2, 1)",
    T + "split": "torch.split(x, 2, 1)", T + "tensor_split": "torch.tensor_split(x, 2, 1)",
    T + "unbind": "torch.unbind(x)", T + "flatten": "torch.flatten(image, 1)",
    T + "transpose": "torch.transpose(x, 0, 1)", T + "swapaxes": "torch.swapaxes(x, 0, 1)",
    T + "unsqueeze": "torch.unsqueeze(x, 0)", T + "flip": "torch.flip(x, [1])",
    T + "roll": "torch.roll(x, 1, 1)", T + "tile": "torch.tile(x, (2, 1))",
    T + "repeat_interleave": "torch.repeat_interleave(x, 2, 0)",
    T + "broadcast_to": "torch.broadcast_to(v, (2, 3))", T + "meshgrid":
    "torch.meshgrid(v, v, indexing='ij')", T + "cartesian_prod": "torch.cartesian_prod(v, v)",
    T + "tril": "torch.tril(m)", T + "triu": "torch.triu(m)", T + "diag": "torch.diag(m)",
    T + "eye": "torch.eye(3)", T + "zeros": "torch.zeros(2, 3)", T + "ones": "torch.ones(2, 3)",
    T + "empty": "torch.empty(2, 3).shape", T + "empty_like": "torch.empty_like(x).shape",
    T + "full": "torch.full((2,), 1.5)", T + "full_like": "torch.full_like(x, 2)",
    T + "arange": "torch.arange(1, 7, 2)", T + "range": "torch.range(1, 4, 0.5)",
    T + "linspace": "torch.linspace(0, 1, 5)", T + "tensor": "torch.tensor([[1, 2]])",
    T + "as_tensor": "torch.as_tensor([1.5, 2])", T + "from_numpy":
    "torch.from_numpy(numpy.arange(3))", T + "randn": "torch.randn(2, 3).shape",
    T + "rand": "(torch.rand(9) < 1).all()", T + "randint": "(torch.randint(2, 5, (9,)) < 5).all()",
    T + "randn_like": "torch.randn_like(x).shape", T + "rand_like": "torch.rand_like(x).shape",
    T + "randperm": "torch.randperm(5).sort().values", T + "normal":
    "torch.normal(0.0, 1.0, (2, 2)).shape", T + "multinomial":
    "torch.multinomial(torch.tensor([0.0, 1.0]), 3, replacement=True)",
    T + "manual_seed": "torch.manual_seed(3).initial_seed()", T + "Generator":
    "torch.Generator().manual_seed(1).initial_seed()", T + "where": "torch.where(b, x, 0.0)",
    T + "gather": "torch.gather(x, 1, i)", T + "index_select":
    "torch.index_select(x, 1, torch.tensor([2, 0]))", T + "clamp": "torch.clamp(x, -0.5, 0.5)",
    T + "clip": "torch.clip(x, -0.5, 0.5)", T + "softmax": "torch.softmax(x, 1)",
    T + "log_softmax": "torch.log_softmax(x, 1)", T + "logsumexp": "torch.logsumexp(x, 1)",
    T + "cumsum": "torch.cumsum(x, 1)", T + "cumprod": "torch.cumprod(x, 1)", T + "sort":
    "torch.sort(x, 1)", T + "argsort": "torch.argsort(x, 1)", T + "topk": "torch.topk(x, 2)",
    T + "searchsorted": "torch.searchsorted(torch.tensor([1.0, 2, 3]), v)",
    T + "bucketize": "torch.bucketize(v, torch.tensor([0.2, 0.5]))",
    T + "matmul": "torch.matmul(x, m)", T + "mm": "torch.mm(x, m)", T + "mv": "torch.mv(m, v)",
    T + "bmm": "torch.bmm(x[None], m[None])", T + "dot": "torch.dot(v, v)",
    T + "outer": "torch.outer(v, v)", T + "einsum": "torch.einsum('ij,jk->ik', x, m)",
    T + "tensordot": "torch.tensordot(x, m, 1)", T + "cdist": "torch.cdist(x, m)", T + "det":
    "torch.det(m)", T + "qr": "torch.qr(m)[1].abs()", T + "cholesky_inverse":
    "torch.cholesky_inverse(torch.linalg.cholesky(m))", T + "linalg.cholesky":
    "torch.linalg.cholesky(m)", T + "polar": "torch.view_as_real(torch.polar(v, v))",
    T + "view_as_complex": "torch.view_as_complex(torch.ones(3, 2)).real", T + "view_as_real":
    "torch.view_as_real(torch.view_as_complex(torch.ones(3, 2)))", T + "real":
    "torch.real(torch.fft.fft(v))", T + "fft.fft": "torch.view_as_real(torch.fft.fft(v))",
    T + "special.expm1": "torch.special.expm1(v)", T + "sigmoid_": "torch.sigmoid_(v.clone())",
    T + "spmm": "torch.spmm(x, m)", T + "is_grad_enabled": "torch.is_grad_enabled()",
    T + "no_grad": "torch.no_grad().__enter__ is not None", T + "enable_grad":
    "torch.enable_grad()(torch.is_grad_enabled)()", T + "inference_mode":
    "torch.inference_mode()(torch.is_grad_enabled)()", T + "set_grad_enabled":
    "[torch.set_grad_enabled(True) is None, torch.is_grad_enabled()][1]", T + "finfo":
    "torch.finfo(torch.float16).max", T + "compile": "torch.compile(torch.sin, backend='eager')(v)", T + "device":
    "str(torch.device('cuda', 1))", T + "Size": "torch.Size([2, 3]).numel()", T + "Tensor":
    "torch.Tensor([[1, 2]])", T + "FloatTensor": "torch.FloatTensor([1, 2])", T + "LongTensor":
    "torch.LongTensor([1, 2])", T + "ByteTensor": "torch.ByteTensor([1, 2])", T + "HalfTensor":
    "torch.HalfTensor([1, 2]).float()", T + "set_num_threads": "torch.set_num_threads(1)",
    T + "set_printoptions": "torch.set_printoptions(precision=4)", T + "set_default_dtype":
    "torch.set_default_dtype(torch.float32)", T + "set_default_tensor_type":
    "torch.set_default_tensor_type(torch.FloatTensor)", T + "set_float32_matmul_precision":
    "torch.set_float32_matmul_precision('highest')", T + "autocast":
    "torch.autocast('cpu', enabled=False).__enter__ is not None", T + "__version__.split":
    "torch.__version__.split('.')[:2]", T + "save": "saved(torch, x)", T + "load":
    "saved(torch, x)", T + "amp.autocast": "torch.amp.autocast('cpu', enabled=False) is not None",
    T + "amp.GradScaler": "torch.amp.GradScaler('cpu', enabled=False).scale(v)",
    T + "autograd.grad": "torch.autograd.grad((r * r).sum(), r)", T + "autograd.backward":
    "[torch.autograd.backward((r * r).sum()), r.grad]", T + "autograd.Variable":
    "torch.autograd.Variable(v, requires_grad=True).requires_grad", T + "func.vmap":
    "torch.func.vmap(torch.dot)(x, x)", T + "func.grad_and_value":
    "torch.func.grad_and_value(lambda a: (a * a).sum())(v)", T + "func.functional_call":
    "torch.func.functional_call(torch.nn.Linear(3, 3), {'weight': m, 'bias': v}, x)",
    T + "testing.assert_close": "torch.testing.assert_close(x, x)",
    T + "testing.assert_allclose": "torch.testing.assert_close(x, x, check_dtype=False)",
    T + "hub.download_url_to_file": "callable(torch.hub.download_url_to_file)",
    T + "hub.load_state_dict_from_url": "callable(torch.hub.load_state_dict_from_url)",
    T + "hub.load": "callable(torch.hub.load)", T + "jit.script": "torch.jit.script(torch.nn.ReLU())(v)",
    T + "jit.trace": "torch.jit.trace(torch.nn.ReLU(), v)(v)", T + "jit.unused":
    "torch.jit.unused(lambda a: a + 1)(1)", T + "serialization.safe_globals":
    "torch.serialization.safe_globals([set]).__enter__ is not None",
    T + "utils._pytree.tree_map": "torch.utils._pytree.tree_map(lambda a: a + 1, {'a': [1, (2, 3)]})",
    T + "utils._pytree.tree_flatten": "torch.utils._pytree.tree_flatten({'a': [1, (2, 3)]})[0]",
    T + "utils._pytree.tree_unflatten":
    "(lambda p: p.tree_unflatten([4, 5], p.tree_flatten([1, 2])[1]))(torch.utils._pytree)",
    T + "futures.Future": "(lambda f: [f.set_result(3), f.wait()])(torch.futures.Future())[1]",
    T + "futures.wait_all": "torch.futures.wait_all([])",
    T + "multiprocessing.Process": "callable(torch.multiprocessing.Process)",
    T + "multiprocessing.spawn": "callable(torch.multiprocessing.spawn)",
    T + "multiprocessing.set_start_method": "callable(torch.multiprocessing.set_start_method)",
    T + "profiler.profile": "torch.profiler.profile() is not None",
    T + "cuda.is_available": "torch.cuda.is_available()",
    T + "cuda.device_count": "torch.cuda.device_count()",
    T + "cuda.manual_seed": "torch.cuda.manual_seed(1)",
    T + "cuda.manual_seed_all": "torch.cuda.manual_seed_all(1)",
    T + "cuda.empty_cache": "torch.cuda.empty_cache()",
    T + "cuda.memory_allocated": "torch.cuda.memory_allocated()",
    T + "cuda.max_memory_allocated": "torch.cuda.max_memory_allocated()",
    T + "cuda.memory_reserved": "torch.cuda.memory_reserved()",
    T + "cuda.max_memory_reserved": "torch.cuda.max_memory_reserved()",
    T + "accelerator.is_available": "torch.accelerator.is_available()",
    T + "accelerator.device_count": "torch.accelerator.device_count()",
    T + "accelerator.current_accelerator": "torch.accelerator.current_accelerator()",
    T + "backends.mps.is_available": "torch.backends.mps.is_available()",
    T + "distributed.is_available": "torch.distributed.is_available()",
    T + "distributed.is_initialized": "torch.distributed.is_initialized()",
    T + "distributed.is_nccl_available": "torch.distributed.is_nccl_available()",
    T + "distributed.is_mpi_available": "torch.distributed.is_mpi_available()",
    T + "distributed.get_default_backend_for_device":
    "torch.distributed.get_default_backend_for_device('cpu')",
    T + "distributed.ReduceOp.SUM": "torch.distributed.ReduceOp.SUM is not None",
}  # fmt: skip

FUNCTIONAL = {
    "relu gelu silu tanh sigmoid softplus logsigmoid elu leaky_relu": "(x)",
    "softmax log_softmax": "(x, dim=1)",
    "normalize": "(x, dim=1)", "cross_entropy nll_loss": "(x, torch.tensor([0, 2]))",
    "mse_loss l1_loss smooth_l1_loss": "(x, x * 2)", "kl_div": "(x, x.abs(), reduction='sum')",
    "binary_cross_entropy": "(x.sigmoid(), b.float())",
    "binary_cross_entropy_with_logits": "(x, b.float())", "one_hot": "(i, 3)", "pad": "(x, (1, 2))",
    "linear": "(x, m, v)", "layer_norm": "(x, (3,), v, v)", "glu": "(seq[..., :2])",
    "cosine_similarity": "(x, x * 2 + 1)", "dropout": "(x, 0.5, training=False)",
    "gumbel_softmax": "(x, hard=True).sum(1)", "max_pool2d avg_pool2d": "(image, 2)",
    "adaptive_avg_pool2d": "(image, 3)", "max_pool1d": "(seq, 2)",
    "interpolate": "(image, scale_factor=2)", "upsample_bilinear": "(image, scale_factor=2)",
    "conv2d": "(image, image[:, :, :3, :3])", "conv1d": "(seq, seq[:1, :, :2])",
    "scaled_dot_product_attention": "(seq, seq, seq)",
    "grid_sample": "(image, torch.zeros(1, 2, 2, 2), align_corners=False)",
    "affine_grid": "(torch.eye(2, 3)[None], (1, 1, 2, 2), align_corners=False)",
}  # fmt: skip
CASES |= {F + name: F + name + call for names, call in FUNCTIONAL.items() for name in names.split()}

# Layers: made, filled with one rule on both sides, and called.
LAYERS = {
    "Linear": ("3, 4", "x"), "Embedding": ("4, 3", "i"), "EmbeddingBag": ("4, 3", "i"),
    "Conv1d": ("4, 2, 2", "seq"), "Conv2d": ("2, 3, 3", "image"), "ConvTranspose2d":
    ("2, 3, 3", "image"), "LayerNorm": ("3", "x"), "RMSNorm": ("3", "x"), "GroupNorm":
    ("1, 2", "image"), "BatchNorm1d": ("3", "x"), "BatchNorm2d": ("2", "image"), "InstanceNorm2d":
    ("2", "image"), "PReLU": ("", "x"), "GRU": ("3, 2", "seq"), "LSTM": ("3, 2", "seq"), "RNN":
    ("3, 2", "seq"), "GRUCell": ("3, 2", "x"), "LSTMCell": ("3, 2", "x"), "MultiheadAttention":
    ("3, 1", "seq, seq, seq"), "TransformerEncoderLayer": ("3, 1, 4, 0.0", "seq"), "Transformer":
    ("3, 1, 1, 1, 4, 0.0", "seq, seq"), "ReLU": ("", "x"), "GELU": ("", "x"), "SiLU": ("", "x"),
    "Tanh": ("", "x"), "Sigmoid": ("", "x"), "LeakyReLU": ("", "x"), "ELU": ("", "x"), "Softplus":
    ("", "x"), "Hardswish": ("", "x"), "GLU": ("", "seq[..., :2]"), "LogSigmoid": ("", "x"),
    "Softmax": ("1", "x"), "LogSoftmax": ("1", "x"), "Identity": ("", "x"), "Flatten": ("", "image"),
    "Dropout": ("0.0", "x"), "Dropout2d": ("0.0", "image"), "MaxPool1d": ("2", "seq"), "MaxPool2d":
    ("2", "image"), "AvgPool1d": ("2", "seq"), "AvgPool2d": ("2", "image"), "AdaptiveAvgPool2d":
    ("3", "image"), "AdaptiveMaxPool2d": ("3", "image"), "AdaptiveAvgPool3d":
    ("1", "image[None]"), "PixelShuffle": ("1", "image"), "Upsample": ("None, 2", "image"),
    "Unfold": ("2", "image"), "ZeroPad2d": ("1", "image"), "ReflectionPad2d": ("1", "image"),
    "ReplicationPad2d": ("1", "image"), "MSELoss": ("", "x, x * 2"), "L1Loss": ("", "x, x * 2"),
    "SmoothL1Loss": ("", "x, x * 2"), "CrossEntropyLoss": ("", "x, torch.tensor([0, 2])"), "NLLLoss":
    ("", "x, torch.tensor([0, 2])"), "BCELoss": ("", "x.sigmoid(), b.float()"), "BCEWithLogitsLoss":
    ("", "x, b.float()"), "KLDivLoss": ("reduction='sum'", "x, x.abs()"),
}  # fmt: skip
CASES |= {
    N + name: f"filled(torch.nn.{name}({made}))({given})" for name, (made, given) in LAYERS.items()
}
CASES |= {
    N + "Sequential": "filled(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Tanh()))(x)",
    N + "modules.linear.NonDynamicallyQuantizableLinear":
    "filled(torch.nn.modules.linear.NonDynamicallyQuantizableLinear(3, 2))(x)",
    N + "ModuleList": "len(torch.nn.ModuleList([torch.nn.ReLU()]))",
    N + "ModuleDict": "list(torch.nn.ModuleDict({'a': torch.nn.ReLU()}))",
    N + "ParameterList": "len(torch.nn.ParameterList([torch.nn.Parameter(v)]))",
    N + "Parameter": "torch.nn.Parameter(v).requires_grad",
    N + "DataParallel": "torch.nn.DataParallel(torch.nn.ReLU())(x)",
    N + "TransformerEncoder": "filled(torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer("
    "3, 1, 4, 0.0), 1, enable_nested_tensor=False))(seq)",
    N + "utils.clip_grad_norm_": "clipped(torch, torch.nn.utils.clip_grad_norm_)",
    N + "utils.rnn.pad_sequence": "torch.nn.utils.rnn.pad_sequence([v, v[:2]], batch_first=True)",
    N + "utils.rnn.pack_padded_sequence":
    "torch.nn.utils.rnn.pack_padded_sequence(seq, [2, 2, 1, 1]).data",
    N + "utils.rnn.pad_packed_sequence": "torch.nn.utils.rnn.pad_packed_sequence("
    "torch.nn.utils.rnn.pack_padded_sequence(seq, [2, 2, 1, 1]))",
    N + "attention.sdpa_kernel":
    "torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH) is not None",
    N + "init.calculate_gain": "torch.nn.init.calculate_gain('relu')",
    N + "init.constant_": "torch.nn.init.constant_(torch.zeros(2), 3.0)",
    N + "init.zeros_": "torch.nn.init.zeros_(torch.ones(2))",
    N + "init.ones_": "torch.nn.init.ones_(torch.zeros(2))",
    N + "init.dirac_": "torch.nn.init.dirac_(torch.zeros(2, 2, 3))",
    N + "init.orthogonal_": "(lambda q: (q @ q.T).round(decimals=4).abs())("
    "torch.nn.init.orthogonal_(torch.zeros(3, 3)))",
}  # fmt: skip
CASES |= {
    f"{N}init.{name}": f"torch.nn.init.{name}(torch.zeros(4, 3)).shape"
    for name in [
        "normal_",
        "uniform_",
        "xavier_uniform_",
        "xavier_normal_",
        "kaiming_uniform_",
        "kaiming_normal_",
        "trunc_normal_",
    ]
}
CASES |= {
    f"{T}optim.{name}": f"stepped(torch, torch.optim.{name}, {options})"
    for name, options in {
        "Adam": "", "AdamW": "", "SGD": "lr=0.1, momentum=0.9", "RMSprop": "", "Adadelta": "",
        "Adagrad": "", "RAdam": "", "LBFGS": "",
    }.items()
}  # fmt: skip
CASES |= {
    f"{T}optim.lr_scheduler.{name}": f"scheduled(torch, torch.optim.lr_scheduler.{name}, {given})"
    for name, given in {
        "StepLR": "2", "MultiStepLR": "[1, 3]", "LambdaLR": "lambda n: 0.9 ** n",
        "CosineAnnealingLR": "4",
    }.items()
}  # fmt: skip
CASES |= {
    T + "utils.data.DataLoader": "[len(t) for t in torch.utils.data.DataLoader(range(5), 2)]",
    T + "utils.data.TensorDataset": "torch.utils.data.TensorDataset(x, x)[1]",
    T + "utils.data.Subset": "torch.utils.data.Subset([3, 4, 5], [2])[0]",
    T + "utils.data.ConcatDataset": "torch.utils.data.ConcatDataset([[1], [2]])[1]",
    T + "utils.data.random_split": "[len(p) for p in torch.utils.data.random_split([1, 2, 3], [2, 1])]",
    T + "utils.data.RandomSampler": "sorted(torch.utils.data.RandomSampler([1, 2, 3]))",
    T + "utils.data.SequentialSampler": "list(torch.utils.data.SequentialSampler([1, 2]))",
    T + "utils.data.BatchSampler": "list(torch.utils.data.BatchSampler([1, 2, 3], 2, False))",
    T + "utils.data.distributed.DistributedSampler":
    "list(torch.utils.data.distributed.DistributedSampler([1, 2, 3], 2, 1, shuffle=False))",
    T + "utils.data.dataloader.default_collate":
    "torch.utils.data.dataloader.default_collate([(1, 2.0), (3, 4.0)])",
}  # fmt: skip
CASES |= {
    T + "profiler.record_function": "torch.profiler.record_function('a').__enter__() is not None",
    T + "autograd.profiler.record_function.__enter__":
    "torch.autograd.profiler.record_function('a').__enter__() is not None",
    T + "autograd.profiler.record_function.__exit__":
    "(lambda r: [r.__enter__() is r, r.__exit__(None, None, None)][1])("
    "torch.autograd.profiler.record_function('a'))",
    T + "ops.profiler._record_function_enter":
    "torch.ops.profiler._record_function_enter('a', None) is not None",
    T + "ops.profiler._record_function_exit":
    "torch.ops.profiler._record_function_exit(torch.ops.profiler._record_function_enter('a', None))",
    T + "profiler._utils._init_for_cuda_graphs":
    "callable(torch.profiler._utils._init_for_cuda_graphs)",
    T + "profiler.tensorboard_trace_handler": "callable(torch.profiler.tensorboard_trace_handler)",
    T + "backends.cuda.sdp_kernel": "torch.backends.cuda.sdp_kernel() is not None",
    T + "cuda.amp.GradScaler": "torch.cuda.amp.GradScaler(enabled=False).scale(v)",
    T + "cuda.amp.autocast": "torch.cuda.amp.autocast(enabled=False) is not None",
    T + "cuda.is_bf16_supported": "callable(torch.cuda.is_bf16_supported)",
    T + "cuda.reset_peak_memory_stats": "callable(torch.cuda.reset_peak_memory_stats)",
    T + "cuda.set_device": "torch.cuda.set_device(-1)",
    T + "cuda.stream": "torch.cuda.stream(None).__enter__()",
    T + "dtype": "isinstance(torch.float32, torch.dtype)",
    T + "sparse_coo_tensor":
    "torch.sparse_coo_tensor([[0, 1], [1, 0]], [2.0, 3.0], (2, 2)).to_dense()",
    N + "Linear.__init__": "callable(torch.nn.Linear.__init__)",
    N + "Linear.reset_parameters": "torch.nn.Linear(2, 2).reset_parameters()",
    N + "Linear.train": "torch.nn.Linear(2, 2).train(False).training",
    N + "Module.__init__": "callable(torch.nn.Module.__init__)",
    N + "attention.SDPBackend": "int(torch.nn.attention.SDPBackend(0))",
    N + "init.constant": "torch.nn.init.constant(torch.zeros(2), 3.0)",
    N + "init.normal": "torch.nn.init.normal(torch.zeros(2)).shape",
    N + "init.kaiming_normal": "torch.nn.init.kaiming_normal(torch.zeros(2, 2)).shape",
    N + "init.xavier_normal": "torch.nn.init.xavier_normal(torch.zeros(2, 2)).shape",
    N + "utils.clip_grad_norm": "clipped(torch, torch.nn.utils.clip_grad_norm)",
    N + "utils.parametrize.register_parametrization":
    "torch.nn.utils.parametrize.register_parametrization(filled(torch.nn.Linear(3, 2)), 'weight', "
    "torch.nn.ReLU())(x)",
    N + "LazyLinear": "torch.nn.LazyLinear(4)(x).shape",
    N + "LazyConv2d": "torch.nn.LazyConv2d(4, 3)(image).shape",
    N + "LazyBatchNorm1d": "torch.nn.LazyBatchNorm1d()(x)",
    N + "LazyBatchNorm2d": "torch.nn.LazyBatchNorm2d()(image)",
}  # fmt: skip
