"""Open a PyTorch file: the pickle is interpreted, the tensors are mapped."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tallow.errors import FormatError, ShapeError
from tallow.formats.mapping import FileMap, TensorFile, TensorInfo, opening, shown, unknown_name
from tallow.formats.torch_pickle.sources import LegacySource, Source, ZipSource, open_source
from tallow.formats.torch_pickle.tree import flatten
from tallow.formats.torch_pickle.values import DTYPES, SUPPORTED, Storage, TensorRef

if TYPE_CHECKING:
    from tallow import _native
    from tallow.formats.mapping import Source as Readable
    from tallow.tensor import Tensor

_COPY_LIMIT: Final = 1 << 16  # bytes that `data` may always copy, beyond the size of the file


class TorchFile(TensorFile):
    """An open PyTorch file: `.tensors` by dotted name, `.metadata` for all else, `.load()`.

    A tensor in nested dicts has the keys joined by dots as its name (`state_dict.fc.weight`,
    `optimizer.state.0.exp_avg`); `.metadata` holds numbers, texts and lists of them by the same
    rule. `.layout` is `zip`, `torchscript` or `legacy`. `TensorInfo.offset` is the place of the
    first element: of a view with strides the others need not follow it, see `reference`.
    """

    def __init__(self, file: FileMap, source: Source) -> None:
        self._source = source
        refs, self.metadata = flatten(file.path, source.read(), source.pickled)
        self._refs: dict[str, TensorRef] = refs
        super().__init__(file, {name: _info(name, ref) for name, ref in refs.items()})

    @property
    def layout(self) -> str:
        """How the file is laid out: `zip`, `torchscript` or `legacy`."""
        if isinstance(self._source, LegacySource):
            return "legacy"
        script = isinstance(self._source, ZipSource) and self._source.script
        return "torchscript" if script else "zip"

    def reference(self, name: str) -> TensorRef:
        """How a tensor lies in its storage: strides, offset, and the storage it may share.

        Raises:
            FormatError: no such tensor.
        """
        found = self._refs.get(name)
        if found is None:
            raise unknown_name(self.path, name, self._refs)
        return found

    def data(self, name: str) -> memoryview:
        """The bytes of a tensor, little-endian and in row-major order.

        Without a copy where they stand so in the file, as nearly always; of a view with other
        strides, or in a file of a big-endian system, they are a copy.

        Raises:
            ArgumentError: the file was closed.
            FormatError: no such tensor, one without data, one whose repeated elements would take
                far more memory than the file, or the file was shortened since it was opened.
        """
        ref = self._usable(name)
        info = self.tensors[name]
        unit = _swap_unit(ref.dtype) if self._source.big_endian else 1
        if unit == 1 and _contiguous(ref):
            return super().data(name)
        if info.nbytes > 4 * self._file.size + _COPY_LIMIT:
            wanted = f"at most {4 * self._file.size + _COPY_LIMIT} bytes to copy"
            self._fail(name, "data", wanted, info.nbytes)
        from tallow.tensor import tobytes

        return memoryview(tobytes(self.tensor(name)))

    def tensor(self, name: str) -> Tensor:
        """A tensor that borrows its bytes from the map, strides and all, without a copy.

        Each call borrows anew: tensors over one storage share its bytes in the file, but not what
        is written to them; `load` gives tensors that share both. Only a file of a big-endian system
        is copied, to swap its bytes.

        Raises:
            ArgumentError: the file was closed.
            FormatError: no such tensor, one without data (meta), sparse, quantised or of a dtype
                that Tallow does not compute with, or the file was shortened since it was opened.
        """
        return _Maker(self._file, self._source).make(self._usable(name), f"tensor {shown(name)}")

    def load(self) -> Any:
        """The whole object, as `torch.load` gives it, with Tensors that borrow from the map.

        Tensors over one storage share it, also when they are written to. Parameters are tensors
        that require a gradient; `torch.Size` is a tuple, a device its name, a dtype ours, a number
        of numpy one of Python. Inert stand-ins are `NumpyArray` for numpy's arrays, `Storage` for a
        storage that no tensor views, `Record` for objects of other classes (see `open_torch`).
        Attributes that Python code hung on a tensor are not kept.

        Raises:
            ArgumentError: the file was closed.
            FormatError: a tensor is without data, sparse, quantised or of a dtype that Tallow does
                not compute with.
        """
        return self._source.read(_Maker(self._file, self._source))

    def _usable(self, name: str) -> TensorRef:
        ref = self.reference(name)
        if ref.problem:
            self._fail(name, "", "a dense tensor with data", ref.problem)
        return ref

    def _fail(self, name: str, part: str, expected: object, got: object) -> NoReturn:
        raise FormatError(self.path, f"tensor {shown(name)} {part}".rstrip(), expected, got)


def open_torch(source: Readable, *, records: Collection[str] = ()) -> TorchFile:
    """Open a `.pt`, `.pth` or `.bin` file of PyTorch by mapping it; only its pickle is read.

    Zip archives of `torch.save` and `torch.jit.save` and the layout before PyTorch 1.6. The pickle
    is run by an interpreter of our own: nothing that the file names is imported or called. `source`
    is a path or the content as a bytes-like object.

    `records` are full names of classes (`omegaconf.dictconfig.DictConfig`) of which the file may
    hold objects: they become inert `Record`s with their attributes. Every other class off the list
    is refused by name.

    Raises:
        FormatError: not a PyTorch file, damaged, or it names what is not on the list.
    """
    with opening(source) as file:
        return TorchFile(file, open_source(file, records))


def load_torch(source: Readable, *, records: Collection[str] = ()) -> Any:
    """The object in a PyTorch file, with Tensors that borrow from the mapped file.

    What `torch.load(weights_only=True)` gives; see `TorchFile.load` for the few differences and
    `open_torch` for `records`.

    Raises:
        FormatError: not a PyTorch file, damaged, or it names what is not on the list.
    """
    with opening(source) as file:
        opened = open_source(file, records)
        loaded = opened.read(_Maker(file, opened))
        file.close()
        return loaded


def _info(name: str, ref: TensorRef) -> TensorInfo:
    shown_dtype, size = DTYPES[ref.dtype]
    place = ref.storage.offset if ref.storage else None
    begin = 0 if place is None else place + (ref.offset * size if 0 not in ref.shape else 0)
    return TensorInfo(name, shown_dtype, ref.shape, begin, math.prod(ref.shape) * size)


def _contiguous(ref: TensorRef) -> bool:
    step = 1
    for length, stride in zip(ref.shape[::-1], ref.strides[::-1], strict=True):
        if length != 1 and stride != step and 0 not in ref.shape:
            return False
        step *= length
    return True


def _swap_unit(dtype: str) -> int:
    """Bytes that a big-endian system writes the other way round: a complex number has two parts."""
    size = DTYPES[dtype][1]
    return size // 2 if dtype.startswith("complex") else size


class _Maker:
    """Makes tensors; those over one storage are views of one borrowed array."""

    def __init__(self, file: FileMap, source: Source) -> None:
        self.file, self.big_endian = file, source.big_endian
        self._bases: dict[tuple[int, int], tuple[Storage, _native.Array]] = {}

    def __call__(self, ref: TensorRef) -> Tensor:
        where = f"tensor of storage {shown(ref.storage.key)}" if ref.storage else "tensor"
        if ref.problem:
            raise FormatError(self.file.path, where, "a dense tensor with data", ref.problem)
        made = self.make(ref, where)
        if ref.requires_grad and made.dtype.kind in "fc":
            made.requires_grad_()
        return made

    def make(self, ref: TensorRef, where: str) -> Tensor:
        """The tensor that `ref` describes."""
        from tallow.dtype import by_name
        from tallow.tensor import wrap

        if ref.dtype not in SUPPORTED:
            wanted = "one that Tallow computes with (`data` gives the bytes)"
            raise FormatError(self.file.path, f"{where} dtype", wanted, ref.dtype)
        assert ref.storage is not None
        dtype = by_name(DTYPES[ref.dtype][0])
        base = self._base(ref.storage, _swap_unit(ref.dtype) if self.big_endian else 1, where)
        whole = ref.storage.nbytes // dtype.itemsize * dtype.itemsize
        cells = base.narrow(0, 0, whole).retype(dtype.code)
        try:
            # An empty tensor lies nowhere; PyTorch lets it point anywhere.
            offset = 0 if 0 in ref.shape else ref.offset
            return wrap(cells.strided(ref.shape, ref.strides, offset))
        except ShapeError as error:  # more axes than an array may have
            wanted = "a shape that Tallow can hold"
            got = f"{len(ref.shape)} axes"
            raise FormatError(self.file.path, f"{where} shape", wanted, got) from error

    def _base(self, storage: Storage, unit: int, where: str) -> _native.Array:
        """The bytes of a storage as an array, borrowed once, or swapped once."""
        key = (id(storage), unit)
        if key not in self._bases:
            from tallow.borrowing import from_buffer
            from tallow.dtype import u8

            begin, nbytes = storage.offset or 0, storage.nbytes
            buffer: Any = self.file.check(begin + nbytes, where)
            if unit > 1:
                buffer, begin = _swapped(buffer[begin : begin + nbytes], unit), 0
            # The storage is kept with the array: its id must not pass to another one.
            made = from_buffer(buffer, u8, (nbytes,), begin)
            self._bases[key] = (storage, made._array)
        return self._bases[key][1]


def _swapped(raw: memoryview, unit: int) -> memoryview:
    """A copy with the bytes of each number in the other order."""
    numbers = array({2: "H", 4: "I", 8: "Q"}[unit])
    numbers.frombytes(raw[: len(raw) // unit * unit])
    numbers.byteswap()
    return memoryview(numbers).cast("B")
