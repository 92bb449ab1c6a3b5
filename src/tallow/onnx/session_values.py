"""OrtValue and IOBinding: values of sessions in the classes of ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tallow.errors import ArgumentError, DTypeError, ShapeError, expect
from tallow.formats.onnx.types import CODES
from tallow.onnx.signature import element_name
from tallow.onnx.values import as_numpy, as_value
from tallow.tensor import Tensor

if TYPE_CHECKING:
    from tallow.onnx.session import InferenceSession


class OrtValue:
    """A value of a session: a tensor, or a sequence of them."""

    def __init__(self, value: Any) -> None:
        """Hold what a graph computes with; `ortvalue_from_numpy` takes arrays."""
        self._value = value

    @staticmethod
    def ortvalue_from_numpy(array: Any, device_type: str = "cpu", device_id: int = 0) -> OrtValue:
        """The array's elements, copied."""
        expect(device_type == "cpu", "OrtValue", "the device cpu", device_type, ArgumentError)
        return OrtValue(as_value(array.copy()))

    @staticmethod
    def ortvalue_from_shape_and_type(
        shape: Sequence[int], element_type: Any, device_type: str = "cpu", device_id: int = 0
    ) -> OrtValue:
        """A tensor whose elements are not set: 0."""
        import numpy as np

        return OrtValue.ortvalue_from_numpy(np.zeros(shape, element_type), device_type)

    def numpy(self) -> Any:
        """The elements, copied."""
        found = as_numpy(self._value)
        return found if isinstance(found, list | dict) else found.copy()

    def update_inplace(self, array: Any) -> None:
        """Copy an array's elements into this tensor."""
        given = as_value(array)
        own = self._value
        good = isinstance(own, Tensor) and isinstance(given, Tensor) and own.shape == given.shape
        expect(good, "update_inplace", f"shape {tuple(own.shape)}", array.shape, ShapeError)
        expect(own.dtype is given.dtype, "update_inplace", own.dtype.name, given.dtype.name,
               DTypeError)  # fmt: skip
        own.copy_(given)

    def data_type(self) -> str:
        """As `tensor(float)`."""
        if isinstance(self._value, list):
            inner = OrtValue(self._value[0]).data_type() if self._value else ""
            return f"seq({inner})"
        return f"tensor({element_name(self._value)})"

    def element_type(self) -> int:
        """The code of TensorProto.DataType."""
        return CODES[element_name(self._value)]

    def shape(self) -> list[int]:
        """The lengths of a tensor."""
        return list(self._value.shape)

    def device_name(self) -> str:
        """`cpu`."""
        return "cpu"

    def has_value(self) -> bool:
        """Whether it is not an empty optional."""
        return self._value is not None

    def is_tensor(self) -> bool:
        """Whether it is a tensor."""
        return hasattr(self._value, "dtype")

    def is_tensor_sequence(self) -> bool:
        """Whether it is a sequence."""
        return isinstance(self._value, list)

    def is_sparse_tensor(self) -> bool:
        """False: sparse tensors are made dense."""
        return False

    def tensor_size_in_bytes(self) -> int:
        """The bytes of its elements."""
        return int(self._value.nbytes)

    def data_ptr(self) -> int:
        """The address of the first element."""
        value = self._value
        return int(value.data_ptr() if isinstance(value, Tensor) else value.ctypes.data)


class IOBinding:
    """Inputs and outputs by name, and a run that needs no argument."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._inputs: dict[str, Any] = {}
        self._outputs: dict[str, OrtValue | None] = {}
        self._found: dict[str, OrtValue] = {}

    def bind_cpu_input(self, name: str, arr_on_cpu: Any) -> None:
        """Set an input to an array."""
        self._inputs[name] = arr_on_cpu

    def bind_ortvalue_input(self, name: str, ortvalue: OrtValue) -> None:
        """Set an input to a value; later writes into it count."""
        self._inputs[name] = ortvalue

    def bind_output(self, name: str, device_type: str = "cpu", device_id: int = 0) -> None:
        """Ask for an output, on memory of its own."""
        expect(device_type == "cpu", "bind_output", "the device cpu", device_type, ArgumentError)
        self._outputs[name] = None

    def bind_ortvalue_output(self, name: str, ortvalue: OrtValue) -> None:
        """Ask for an output in a value's memory."""
        self._outputs[name] = ortvalue

    def synchronize_inputs(self) -> None:
        """Nothing: all memory is the CPU's."""

    def synchronize_outputs(self) -> None:
        """Nothing: all memory is the CPU's."""

    def get_outputs(self) -> list[OrtValue]:
        """The outputs of the last run, in the order in which they were asked for."""
        return [self._found[name] for name in self._outputs if name in self._found]

    def copy_outputs_to_cpu(self) -> list[Any]:
        """The outputs of the last run as numpy arrays."""
        return [each.numpy() for each in self.get_outputs()]

    def clear_binding_inputs(self) -> None:
        """Forget all inputs."""
        self._inputs.clear()

    def clear_binding_outputs(self) -> None:
        """Forget all outputs."""
        self._outputs.clear()
        self._found.clear()

    def _run(self) -> None:
        names = list(self._outputs)
        found = self._session.run_with_ort_values(names, self._inputs)
        for name, value in zip(names, found, strict=True):
            held = self._outputs[name]
            if held is not None:
                held.update_inplace(as_numpy(value._value))
            self._found[name] = held if held is not None else value
