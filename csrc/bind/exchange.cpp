// Exchange without copies: the buffer protocol both ways, and DLPack both ways
// (data-apis.org/array-api, DLPack 1.x ABI).
#include "../core/strides.h"
#include "bind.h"

#include <nanobind/stl/string.h>

namespace tl::bind {

void drop_buffer(void* owner) {
  auto* buffer = static_cast<Py_buffer*>(owner);
  if (!Py_IsInitialized()) return;  // at exit the system takes the memory back
  nb::gil_scoped_acquire gil;
  PyBuffer_Release(buffer);
  delete buffer;
}
namespace {

// --- buffer protocol
// ---------------------------------------------------------------------------------------------------------

struct Format {
  DType dtype;
  const char* code;
};
constexpr Format kFormats[] = {
    {DType::bool_, "?"},      {DType::u8, "B"},  {DType::i8, "b"},  {DType::i16, "h"},
    {DType::u16, "H"},        {DType::i32, "i"}, {DType::u32, "I"}, {DType::i64, "q"},
    {DType::u64, "Q"},        {DType::f16, "e"}, {DType::f32, "f"}, {DType::f64, "d"},
    {DType::complex64, "Zf"},
};

struct Exported {
  Py_ssize_t shape[kMaxDims], strides[kMaxDims];
  Array kept;  // what is lent, when it is a copy
};

// Whether bools are stored in other bytes than 0 and 1. Nobody else takes those for one truth, so
// what is lent of such an array is a copy with 0 and 1, which cannot be written through.
bool has_other_bytes(const Array& x) {
  if (x.dtype != DType::bool_ || x.size() == 0) return false;
  int64_t at[kMaxDims] = {};
  for (;;) {
    const std::byte* p = x.data;
    for (int i = 0; i < x.ndim; ++i) p += at[i] * x.strides[i];
    const int last = x.ndim - 1;
    uint8_t bits = 0;
    for (int64_t j = 0; j < (x.ndim ? x.shape[last] : 1); ++j)
      bits |= static_cast<uint8_t>(p[x.ndim ? j * x.strides[last] : 0]);
    if (bits > 1) return true;
    int axis = last - 1;
    for (; axis >= 0 && (x.strides[axis] == 0 || ++at[axis] == x.shape[axis]); --axis) at[axis] = 0;
    if (axis < 0) return false;
  }
}
Array plain_bools(const Array& x) {
  Array bytes = cast(x, DType::u8, "bool");
  View v = bytes;
  v.dtype = DType::bool_;
  return bytes.with(v);
}

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  Array& own = *nb::inst_ptr<Array>(self);
  if (own.device().type != Device::cpu) {
    PyErr_Format(PyExc_BufferError, "the array is on %s and has no values here",
                 name_of(own.device()));
    return -1;
  }
  own.sync();
  Array copy;
  bool odd = false;
  try {
    expect_readable(own, "the buffer protocol", true);
    odd = has_other_bytes(own);
    if (odd) copy = plain_bools(own);
  } catch (nb::python_error& error) {
    error.restore();
    return -1;
  }
  const Array& x = odd ? copy : own;
  const char* format = nullptr;
  for (const Format& f : kFormats)
    if (f.dtype == x.dtype) format = f.code;
  if (!format) {
    PyErr_Format(PyExc_BufferError, "dtype %s has no buffer format", row(x.dtype).name);
    return -1;
  }
  if ((flags & PyBUF_WRITABLE) && (odd || !x.storage()->writable)) {
    PyErr_SetString(PyExc_BufferError, odd ? "the array stores bools in other bytes than 0 and 1"
                                           : "the array borrows read-only memory");
    return -1;
  }
  bool strided = (flags & PyBUF_STRIDES) == PyBUF_STRIDES;
  bool rows = (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS,
       columns = (flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS;
  if ((!strided || rows || (flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS) &&
      !x.contiguous()) {
    PyErr_SetString(PyExc_BufferError, "the array is not contiguous");
    return -1;
  }
  if (columns && x.ndim > 1) {
    PyErr_SetString(PyExc_BufferError, "the array is row-major");
    return -1;
  }
  auto* e = new Exported;
  for (int i = 0; i < x.ndim; ++i) {
    e->shape[i] = x.shape[i];
    e->strides[i] = x.strides[i] * bytes_of(x.dtype);
  }
  view->buf = x.data;
  view->len = x.size() * bytes_of(x.dtype);
  view->itemsize = bytes_of(x.dtype);
  view->readonly = odd || !x.storage()->writable;
  view->ndim = x.ndim;
  view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(format) : nullptr;
  view->shape = (flags & PyBUF_ND) ? e->shape : nullptr;
  view->strides = strided ? e->strides : nullptr;
  view->suboffsets = nullptr;
  view->internal = e;
  if (odd) e->kept = x;
  view->obj = Py_NewRef(self);
  return 0;
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<Exported*>(view->internal); }

Array from_buffer(nb::handle source, int dtype_code, nb::handle shape, int64_t offset) {
  DType dtype = dtype_from(dtype_code);
  auto* buffer = new Py_buffer;
  if (PyObject_GetBuffer(source.ptr(), buffer, PyBUF_C_CONTIGUOUS) != 0) {
    delete buffer;
    throw nb::python_error();
  }
  int64_t dims[kMaxDims];
  nb::object fast = nb::steal(PySequence_Tuple(shape.ptr()));  // a copy: items may change a list
  int64_t n = fast.is_valid() ? PyTuple_GET_SIZE(fast.ptr()) : kMaxDims + 1;
  bool ok = n <= kMaxDims;
  for (int64_t i = 0; ok && i < n; ++i) {
    int overflow = 0;
    dims[i] = PyLong_AsLongLongAndOverflow(PyTuple_GET_ITEM(fast.ptr(), i), &overflow);
    if (overflow || PyErr_Occurred()) ok = false;
  }
  int64_t bytes = ok ? contiguous_bytes(dtype, dims, static_cast<int>(n)) : -1;
  if (PyErr_Occurred()) {
    drop_buffer(buffer);
    throw nb::python_error();
  }
  if (bytes < 0 || offset < 0 || offset > buffer->len || bytes > buffer->len - offset) {
    std::string have = std::to_string(buffer->len);
    drop_buffer(buffer);
    raise("ShapeError", "from_buffer",
          "expected an offset and shape inside a buffer of " + have + " bytes, got offset " +
              std::to_string(offset) + " and " +
              (bytes < 0 ? "a shape that this dtype cannot have (no negative size, whole blocks, "
                           "fewer than 2**63 bytes)"
                         : std::to_string(bytes) + " bytes"));
  }
  Array out =
      Array::borrow(dtype, dims, static_cast<int>(n), static_cast<std::byte*>(buffer->buf) + offset,
                    bytes, !buffer->readonly, drop_buffer, buffer);
  if (!out.ok()) raise("OutOfMemoryError", "from_buffer", "no memory");
  return aligned(std::move(out), "from_buffer");
}

// Lets the storage of `x`, and so every view of it, have its bytes in this writable buffer.
void move_to_buffer(Array& x, nb::handle target) {
  expect_values(x, "move_to");
  x.sync();
  auto* buffer = new Py_buffer;
  if (PyObject_GetBuffer(target.ptr(), buffer, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE) != 0) {
    delete buffer;
    throw nb::python_error();
  }
  size_t held = held_bytes(*x.storage());
  if (static_cast<size_t>(buffer->len) < held) {
    std::string have = std::to_string(buffer->len);
    drop_buffer(buffer);
    raise("ShapeError", "move_to",
          "expected a buffer of " + std::to_string(held) + " bytes, got " + have);
  }
  if (!move_to(x.storage(), static_cast<std::byte*>(buffer->buf), drop_buffer, buffer))
    raise("OutOfMemoryError", "move_to", "no memory");
  x.sync();
}

// Borrows strided memory: the storage covers all bytes that the strides (in elements) can reach, on
// both sides of `data`.
Array borrow_strided(DType dtype, const int64_t* shape, const int64_t* strides, int ndim,
                     void* data, bool writable, void (*release)(void*), void* owner,
                     const char* where) {
  int64_t low, high, item = bytes_of(dtype);
  if (!find_reach(dtype, shape, strides, ndim, low, high)) {
    release(owner);
    raise("ShapeError", where,
          std::string("expected a shape and strides of fewer than 2**63 bytes, got ") +
              ShapeText(shape, ndim).text + " of " + row(dtype).name);
  }
  const bool zero = contiguous_bytes(dtype, shape, ndim) == 0;
  Array base = Array::borrow(dtype, shape, ndim, static_cast<std::byte*>(data) + low * item,
                             zero ? 0 : (high - low + 1) * item, writable, release, owner);
  if (!base.ok()) raise("OutOfMemoryError", where, "no memory");
  View view = base;
  view.data -= low * item;
  for (int i = 0; i < ndim; ++i) view.strides[i] = strides[i];
  return aligned(base.with(view), where);
}

// Any strides, as numpy has them; the dtype comes from the buffer's format.
Array from_strided(nb::handle source) {
  auto* buffer = new Py_buffer;
  if (PyObject_GetBuffer(source.ptr(), buffer, PyBUF_STRIDED_RO | PyBUF_FORMAT) != 0) {
    delete buffer;
    throw nb::python_error();
  }
  DType dtype = DType::count;
  std::string format = buffer->format ? buffer->format : "B";
  if (format[0] == '=') format.erase(0, 1);  // numpy's sign of odd addresses
  if (format == "l") format = "q";           // both are 8 bytes where we run
  if (format == "L") format = "Q";
  for (const Format& f : kFormats) {
    if (format == f.code) dtype = f.dtype;
  }
  bool fits =
      dtype != DType::count && buffer->itemsize == bytes_of(dtype) && buffer->ndim <= kMaxDims;
  for (int i = 0; fits && i < buffer->ndim; ++i) fits = buffer->strides[i] % buffer->itemsize == 0;
  if (!fits) {
    int ndim = buffer->ndim;
    drop_buffer(buffer);
    raise("DTypeError", "from_numpy",
          "expected a dtype and layout that Tallow has (bool, ints, floats, at most " +
              std::to_string(kMaxDims) + " axes), got format " + format + " with " +
              std::to_string(ndim) + " axes");
  }
  int64_t shape[kMaxDims], strides[kMaxDims];
  for (int i = 0; i < buffer->ndim; ++i) {
    shape[i] = buffer->shape[i];
    strides[i] = buffer->strides[i] / buffer->itemsize;
  }
  return borrow_strided(dtype, shape, strides, buffer->ndim, buffer->buf, !buffer->readonly,
                        drop_buffer, buffer, "from_numpy");
}

// --- DLPack
// ------------------------------------------------------------------------------------------------------------------

struct DLTensor {
  void* data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct DLManaged {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManaged*);
};
constexpr int kDLCpu = 1;
constexpr uint8_t kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kComplex = 5, kBool = 6;

bool dl_code(DType d, uint8_t& code) {
  switch (row(d).kind) {
    case 'b':
      code = kBool;
      return true;
    case 'u':
      code = kUInt;
      return true;
    case 'i':
      code = kInt;
      return true;
    case 'c':
      code = kComplex;
      return true;
    case 'f':
      code = d == DType::bf16 ? kBfloat : kFloat;
      return bytes_of(d) > 1;
    default:
      return false;
  }
}

struct ExportedTensor {
  DLManaged managed;
  Array array;
  int64_t shape[kMaxDims], strides[kMaxDims];
};

nb::object to_dlpack(Array& given) {
  expect_values(given, "__dlpack__");
  expect_readable(given, "__dlpack__", true);
  given.sync();
  Array x = has_other_bytes(given) ? plain_bools(given) : given;
  uint8_t code;
  if (!dl_code(x.dtype, code))
    raise("DTypeError", "__dlpack__", std::string("DLPack has no dtype ") + row(x.dtype).name);
  // The protocol's unversioned struct cannot say "read only": the consumer gets memory of its own
  // to write to.
  if (!x.storage()->writable && !detach(x.storage()))
    raise("OutOfMemoryError", "__dlpack__", "no memory");
  x.sync();
  auto* made = new ExportedTensor{{}, x, {}, {}};
  for (int i = 0; i < x.ndim; ++i) {
    made->shape[i] = x.shape[i];
    made->strides[i] = x.strides[i];
  }
  made->managed.tensor = {
      x.data,      kDLCpu,        0, x.ndim, code, static_cast<uint8_t>(8 * bytes_of(x.dtype)), 1,
      made->shape, made->strides, 0};
  made->managed.context = made;
  made->managed.deleter = [](DLManaged* m) { delete static_cast<ExportedTensor*>(m->context); };
  return nb::steal(PyCapsule_New(&made->managed, "dltensor", [](PyObject* capsule) {
    if (!PyCapsule_IsValid(capsule, "dltensor")) return;  // taken over by a consumer
    auto* managed = static_cast<DLManaged*>(PyCapsule_GetPointer(capsule, "dltensor"));
    managed->deleter(managed);
  }));
}

void drop_managed(void* owner) {
  auto* managed = static_cast<DLManaged*>(owner);
  if (!managed->deleter || !Py_IsInitialized()) return;
  nb::gil_scoped_acquire gil;  // a producer written in Python may need it
  managed->deleter(managed);
}

Array from_dlpack(nb::handle capsule) {
  auto* managed = static_cast<DLManaged*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  if (!managed) throw nb::python_error();
  const DLTensor& t = managed->tensor;
  DType dtype = DType::count;
  for (int i = 0; i < kDTypeCount; ++i) {
    uint8_t code;
    auto d = static_cast<DType>(i);
    if (dl_code(d, code) && code == t.code && bytes_of(d) * 8 == t.bits && t.lanes == 1) dtype = d;
  }
  if (t.device_type != kDLCpu)
    raise("ArgumentError", "from_dlpack",
          "expected an array on the CPU, got device type " + std::to_string(t.device_type));
  if (dtype == DType::count)
    raise("DTypeError", "from_dlpack",
          "no dtype with DLPack code " + std::to_string(t.code) + " and " + std::to_string(t.bits) +
              " bits");
  if (t.ndim > kMaxDims)
    raise("ShapeError", "from_dlpack",
          "expected at most " + std::to_string(kMaxDims) + " axes, got " + std::to_string(t.ndim));
  if (t.ndim < 0 || contiguous_bytes(dtype, t.shape, t.ndim) < 0)
    raise("ShapeError", "from_dlpack",
          std::string("expected a shape of fewer than 2**63 bytes, got ") +
              (t.ndim < 0 ? "no axes" : ShapeText(t.shape, t.ndim).text) + " of " +
              row(dtype).name);
  View packed;
  packed.ndim = static_cast<int8_t>(t.ndim);
  for (int i = 0; i < t.ndim; ++i) packed.shape[i] = t.shape[i];
  set_contiguous_strides(packed);
  PyCapsule_SetName(capsule.ptr(), "used_dltensor");
  return borrow_strided(dtype, t.shape, t.strides ? t.strides : packed.strides, t.ndim,
                        static_cast<std::byte*>(t.data) + t.byte_offset, true, drop_managed,
                        managed, "from_dlpack");
}

}  // namespace

PyType_Slot kBufferSlots[] = {
    {Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)},
    {Py_bf_releasebuffer, reinterpret_cast<void*>(release_buffer)},
    {0, nullptr},
};

void bind_exchange(ArrayClass& c) {
  c.def_static("from_buffer", &from_buffer);
  c.def_static("from_strided", &from_strided);
  c.def("move_to", &move_to_buffer);
  c.def("reinterpret", [](const Array& x, int dtype) {
    auto wanted = dtype_from(dtype);
    if (bytes_of(wanted) != bytes_of(x.dtype) || is_block(wanted) || is_block(x.dtype))
      raise("DTypeError", "reinterpret",
            std::string("expected a plain dtype of the same size as ") + row(x.dtype).name +
                ", got " + row(wanted).name);
    View out = x;
    out.dtype = wanted;
    return x.with(out);
  });
  c.def("raw_bytes", [](Array& x) {
    expect_values(x, "raw_bytes");
    expect_readable(x, "raw_bytes");
    x.sync();
    if (!x.contiguous()) raise("ShapeError", "raw_bytes", "expected a contiguous array");
    const Array plain = has_other_bytes(x) ? plain_bools(x) : x;
    return nb::bytes(reinterpret_cast<const char*>(plain.data),
                     x.size() / block_of(x.dtype) * bytes_of(x.dtype));
  });
  c.def_static("from_dlpack", &from_dlpack);
  c.def("to_dlpack", &to_dlpack);
}

}  // namespace tl::bind
