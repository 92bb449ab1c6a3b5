"""Every op on a device with few kernels: the CPU's result, or an error that names what is missing.

Nothing runs a kernel of the CPU there: the memory is at addresses that only the device knows.
"""

import pytest

import tallow as tl
from device.few_kernels import KERNELS, NAME, moved, on_device
from ops.laws import CASES, TOLERANCE, call, leaves, same, samples, tensor
from tallow.errors import NoKernelError
from tallow.registry import OPS

# Fused kernels that a device need not have.
FUSED = ("softmax", "rms_norm", "linear", "conv2d", "attention", "rope", "silu")


@pytest.mark.parametrize("name", CASES)
def test_op(name, few):
    case = CASES[name]
    for dtype in case.dtypes:
        for sample in samples(name, dtype):
            said = f"{name} {dtype} {sample}"
            got, error = on_device(name, sample, few)
            if error:
                assert NAME in error and "expected a device" in error, said
                continue
            tensors = [x for x in leaves(got) if isinstance(x, tl.Tensor)]
            assert {x.device for x in tensors} <= {few}, said
            wanted = leaves(call(name, sample, tensor))
            if not case.random:
                same(leaves(moved(got, "cpu")), wanted, 4 * case.factor, True, said)


def test_errors_name_op_device_and_dtype(few):
    for name, dtype in (("erfc", "f32"), ("cummax", "f32"), ("gcd", "i32"), ("linalg.inv", "f64")):
        _, error = on_device(name, samples(name, dtype)[0], few)
        assert error.startswith(f"{name}: ") and NAME in error and dtype in error


@pytest.mark.parametrize("name", FUSED)
def test_references_run(name, few):
    assert OPS[name].kernel_name not in KERNELS and OPS[name].elementwise not in KERNELS
    assert not any(on_device(name, sample, few)[1] for sample in samples(name, "f32"))


@pytest.mark.parametrize(
    "name",
    [
        "softmax", "log_softmax", "rms_norm", "linear", "matmul", "silu", "sigmoid",
        "mean", "logsumexp", "cat", "index_select", "where", "cumsum", "mse_loss", "conv1d",
        "div", "pow", "tanh", "permute", "expand", "gather", "einsum", "softplus",
    ],
)  # fmt: skip
def test_gradients(name, few):
    def gradients(device):
        leaf_tensors = []

        def leaf(array):
            x = tensor(array).to(device)
            if x.dtype is tl.f32:
                leaf_tensors.append(x.requires_grad_())
            return x

        sample = samples(name, "f32")[0]
        sum(
            (y * y).sum()
            for y in leaves(call(name, sample, leaf))
            if isinstance(y, tl.Tensor) and y.requires_grad
        ).backward()
        assert {x.grad.device for x in leaf_tensors if x.grad is not None} == {tl.device(device)}
        return [None if x.grad is None else x.grad.cpu() for x in leaf_tensors]

    assert any(g is not None for g in gradients("cpu"))
    same(gradients(str(few)), gradients("cpu"), 8 * CASES[name].factor, True, name)


def test_a_model_learns(few):
    def losses(device):
        tl.manual_seed(0)
        model = tl.nn.Sequential(tl.nn.Linear(4, 8), tl.nn.SiLU(), tl.nn.Linear(8, 3)).to(device)
        x, y = tl.randn(6, 4).to(device), tl.tensor([0, 1, 2, 0, 1, 2]).to(device)
        found = []
        for _ in range(4):
            loss = tl.ops.cross_entropy(model(x), y)
            model.zero_grad()
            loss.backward()
            with tl.no_grad():
                for p in model.parameters():
                    p.sub_(p.grad * 0.5)
            found.append(loss.item())
        return found

    there = losses(few)
    assert there == pytest.approx(losses("cpu"), rel=100 * TOLERANCE["f32"])
    assert there[-1] < there[0]


def test_a_kernel_of_python_is_the_cpus(few):
    with pytest.raises(NoKernelError, match=f"linalg.inv: .*f32 on {NAME}"):
        tl.linalg.inv(tl.eye(3).to(few))
