// tallow._native.Array: construction, properties, conversion to and from Python numbers and lists.
#include "bind.h"

#include <nanobind/stl/string.h>

namespace tl::bind {
namespace {

nb::tuple tuple_of(const int64_t* values, int n) {
  PyObject* t = PyTuple_New(n);
  for (int i = 0; i < n; ++i) PyTuple_SET_ITEM(t, i, PyLong_FromLongLong(values[i]));
  return nb::steal<nb::tuple>(t);
}

// 16-bit floats as Python sees them; slow and exact, for single elements only.
double half_to_double(uint16_t h) {
  int exponent = h >> 10 & 31, fraction = h & 1023;
  double value = exponent == 31 ? (fraction ? __builtin_nan("") : __builtin_inf())
                 : exponent     ? __builtin_ldexp(1024 + fraction, exponent - 25)
                                : __builtin_ldexp(fraction, -24);
  return h & 0x8000 ? -value : value;
}

template <class T>
T read(const std::byte* p) {
  T value;
  memcpy(&value, p, sizeof value);
  return value;
}

nb::object element(DType dtype, const std::byte* p) {
  switch (dtype) {
    case DType::bool_:
      return nb::bool_(read<uint8_t>(p) != 0);
    case DType::u8:
      return nb::int_(read<uint8_t>(p));
    case DType::i8:
      return nb::int_(read<int8_t>(p));
    case DType::i16:
      return nb::int_(read<int16_t>(p));
    case DType::u16:
      return nb::int_(read<uint16_t>(p));
    case DType::i32:
      return nb::int_(read<int32_t>(p));
    case DType::u32:
      return nb::int_(read<uint32_t>(p));
    case DType::i64:
      return nb::int_(read<int64_t>(p));
    case DType::u64:
      return nb::int_(read<uint64_t>(p));
    case DType::f16:
      return nb::float_(half_to_double(read<uint16_t>(p)));
    case DType::bf16: {
      uint32_t bits = static_cast<uint32_t>(read<uint16_t>(p)) << 16;
      float value;
      memcpy(&value, &bits, 4);
      return nb::float_(static_cast<double>(value));
    }
    case DType::f32:
      return nb::float_(static_cast<double>(read<float>(p)));
    case DType::f64:
      return nb::float_(read<double>(p));
    case DType::complex64:
      return nb::steal(PyComplex_FromDoubles(read<float>(p), read<float>(p + 4)));
    default:
      raise("DTypeError", "item", std::string("expected a plain dtype, got ") + row(dtype).name);
  }
}

Array on_host(const Array& x, const char* where) {
  Array own = checked([&](Error& error) { return moved(x, {}, where, error); });
  return is_float(x.dtype) && row(x.dtype).bytes == 1 ? cast(own, DType::f32, where) : own;
}

nb::object to_list(const View& x, int axis, const std::byte* p) {
  if (axis == x.ndim) return element(x.dtype, p);
  PyObject* list = PyList_New(x.shape[axis]);
  if (!list) {
    PyErr_Clear();
    raise("OutOfMemoryError", "tolist",
          "a list of " + std::to_string(x.shape[axis]) + " elements does not fit into memory");
  }
  nb::object holder = nb::steal(list);
  for (int64_t i = 0; i < x.shape[axis]; ++i) {
    PyList_SET_ITEM(
        list, i, to_list(x, axis + 1, p + i * x.strides[axis] * bytes_of(x.dtype)).release().ptr());
  }
  return holder;
}

// --- from nested lists: shape and kind first, then one pass that fills
// -------------------------------------------------------

bool is_sequence(nb::handle h) { return PyList_Check(h.ptr()) || PyTuple_Check(h.ptr()); }

void measure(nb::handle h, int depth, View& shape, int& kind) {
  if (!is_sequence(h)) {
    if (depth != shape.ndim)
      raise("ShapeError", "tensor", "expected rows of equal depth, got a number beside a list");
    int k = PyBool_Check(h.ptr())      ? 0
            : PyIndex_Check(h.ptr())   ? 1
            : PyComplex_Check(h.ptr()) ? 3
                                       : 2;
    kind = k > kind ? k : kind;
    return;
  }
  int64_t n = PySequence_Fast_GET_SIZE(h.ptr());
  if (depth >= shape.ndim)
    raise("ShapeError", "tensor", "expected rows of equal depth, got a list beside a number");
  if (n != shape.shape[depth]) {
    raise("ShapeError", "tensor",
          "expected rows of length " + std::to_string(shape.shape[depth]) + ", got " +
              std::to_string(n));
  }
  for (int64_t i = 0; i < n; ++i)
    measure(PySequence_Fast_GET_ITEM(h.ptr(), i), depth + 1, shape, kind);
}

// Converting an element may run Python code that changes the lists: nothing is written from `end`
// on.
struct Complex {
  float re, im;
};

template <class T>
T* fill(nb::handle h, DType dtype, T* out, T* end) {
  if (is_sequence(h)) {
    for (int64_t i = 0; i < PySequence_Fast_GET_SIZE(h.ptr()); ++i) {
      nb::object item = nb::borrow(PySequence_Fast_GET_ITEM(h.ptr(), i));
      out = fill(item, dtype, out, end);
    }
    return out;
  }
  if (out == end) raise("ShapeError", "tensor", "the lists grew while they were read");
  if constexpr (__is_same(T, double)) {
    *out = real_of(h, "tensor");
  } else if constexpr (__is_same(T, Complex)) {
    const bool complex = PyComplex_Check(h.ptr());
    const double re = complex ? PyComplex_RealAsDouble(h.ptr()) : real_of(h, "tensor");
    const double im = complex ? PyComplex_ImagAsDouble(h.ptr()) : 0;
    *out = {static_cast<float>(re), static_cast<float>(im)};
  } else {
    *out = integer_of(h, dtype, "tensor");
    // In other dtypes it wraps; both as in PyTorch.
    if (dtype == DType::u64 && *out < 0 && nb::int_(nb::borrow(h)) < nb::int_(0))
      raise("ArgumentError", "tensor", "expected a number that u64 can hold, got a negative one");
  }
  return out + 1;
}

// Refuses floats that an integer dtype has no room for, NaN too; their fraction is lost.
void check_floats(const Array& floats, DType wanted) {
  if (!is_integral(wanted) || wanted == DType::bool_) return;
  const double* p = floats.ptr<double>();
  for (int64_t i = 0; i < floats.size(); ++i) {
    bool fits = wanted == DType::u64
                    ? p[i] > -1 && p[i] < 18446744073709551616.0
                    : p[i] >= -9223372036854775808.0 && p[i] < 9223372036854775808.0 &&
                          holds(wanted, static_cast<int64_t>(p[i]));
    if (!fits)
      raise("ArgumentError", "tensor",
            std::string("expected a number that ") + row(wanted).name + " can hold, got " +
                nb::str(nb::float_(p[i])).c_str());
  }
}

Array unset(DType dtype, const View& shape) {
  Array out = empty(dtype, shape.shape, shape.ndim, "tensor");
  filled_by_host(out);
  return out;
}

Array from_list(nb::handle data, int dtype) {
  View shape;
  nb::handle h = data;
  while (is_sequence(h)) {
    if (shape.ndim == kMaxDims)
      raise("ShapeError", "tensor",
            "expected at most " + std::to_string(kMaxDims) + " axes, got more");
    int64_t n = PySequence_Fast_GET_SIZE(h.ptr());
    shape.shape[shape.ndim++] = n;
    if (n == 0) break;
    h = PySequence_Fast_GET_ITEM(h.ptr(), 0);
  }
  int kind = shape.ndim && shape.shape[shape.ndim - 1] == 0 ? 2 : 0;
  measure(data, 0, shape, kind);
  DType natural = kind == 0 ? DType::bool_ : kind == 1 ? DType::i64 : default_float;
  DType wanted = dtype < 0 ? natural : dtype_from(dtype);
  if (kind == 3) {
    if (dtype >= 0 && wanted != DType::complex64)
      raise("DTypeError", "tensor",
            std::string("expected complex64 for complex numbers, got ") + row(wanted).name);
    Array out = unset(DType::complex64, shape);
    Complex* end = out.ptr<Complex>() + out.size();
    if (fill(data, DType::complex64, out.ptr<Complex>(), end) != end)
      raise("ShapeError", "tensor", "the lists shrank while they were read");
    return out;
  }
  // Wide first, then one conversion: nothing is lost on the way to the wanted dtype.
  DType wide = kind == 2 ? DType::f64 : DType::i64;
  Array out = unset(wide, shape);
  int64_t n = out.size();
  bool whole = kind == 2 ? fill(data, wanted, out.ptr<double>(), out.ptr<double>() + n) ==
                               out.ptr<double>() + n
                         : fill(data, wanted, out.ptr<int64_t>(), out.ptr<int64_t>() + n) ==
                               out.ptr<int64_t>() + n;
  if (!whole) raise("ShapeError", "tensor", "the lists shrank while they were read");
  if (kind == 2) check_floats(out, wanted);
  if (kind != 2 && wanted == DType::u64) out.dtype = DType::u64;  // the same 64 bits
  return cast(out, wanted, "tensor");
}

void assign(Array& x, const Array& source, const char* where) {
  checked([&](Error& error) { return tl::assign(x, source, where, error); });
}

Device device_from(int code) {
  if (code < 0 || code >= device_count())
    raise("DeviceError", "device", "expected the code of a device, got " + std::to_string(code));
  several_devices = several_devices || code != Device::cpu;
  return {static_cast<Device::Type>(code)};
}

}  // namespace

int64_t shape_from(nb::handle sequence, int64_t* shape) {
  nb::object fast = nb::steal(PySequence_Fast(sequence.ptr(), "expected a sequence of sizes"));
  if (!fast.is_valid()) throw nb::python_error();
  int64_t n = PySequence_Fast_GET_SIZE(fast.ptr());
  if (n > kMaxDims)
    raise("ShapeError", "shape",
          "expected at most " + std::to_string(kMaxDims) + " axes, got " + std::to_string(n));
  for (int64_t i = 0; i < n; ++i) shape[i] = size_of(item_at(fast, i, "shape"), "shape");
  return n;
}

namespace {

Array new_array(nb::handle shape, int dtype, int device, const char* where) {
  int64_t dims[kMaxDims];
  int n = static_cast<int>(shape_from(shape, dims));
  return empty(dtype_from(dtype), dims, n, where, device_from(device));
}

Array filled(nb::handle shape, nb::handle value, int dtype, int device) {
  const DType kind = dtype_from(dtype);
  Array one = scalar(value, is_block(kind) ? DType::f32 : kind, "full");
  Array out = new_array(shape, dtype, device, "full");
  checked([&](Error& error) { return fill_new(out, one, "full", error); });
  return out;
}

}  // namespace

int64_t size_of(nb::handle h, const char* where) {
  int overflow = 0;
  int64_t size = PyLong_AsLongLongAndOverflow(h.ptr(), &overflow);
  if (overflow)
    raise("ShapeError", where,
          "expected a size below 2**63, got " + std::string(nb::str(h).c_str()));
  if (size == -1 && PyErr_Occurred()) throw nb::python_error();
  return size;
}

void bind_array(nb::module_& m) {
  m.def("chosen_device", [] { return chosen_device; });
  m.def("default_device", &default_device);
  m.def("choose_device",
        [](int code) { chosen_device = code < 0 ? -1 : static_cast<int>(device_from(code).type); });
  ArrayClass c(m, "Array", nb::type_slots(kBufferSlots), nb::is_weak_referenceable());
  // Two forms each: a default argument would take nanobind's slower way.
  c.def_static("empty", [](nb::handle shape, int dtype) {
    return new_array(shape, dtype, default_device(), "empty");
  });
  c.def_static("empty", [](nb::handle shape, int dtype, int device) {
    return new_array(shape, dtype, device, "empty");
  });
  c.def_static("full", [](nb::handle shape, nb::handle value, int dtype) {
    return filled(shape, value, dtype, default_device());
  });
  c.def_static("full", &filled);
  c.def_static(
      "empty_like",
      [](const Array& x, int dtype, int device) {
        return empty(dtype < 0 ? x.dtype : dtype_from(dtype), x.shape, x.ndim, "empty_like",
                     device < 0 ? x.device() : device_from(device));
      },
      nb::arg("x"), nb::arg("dtype") = -1, nb::arg("device") = -1);
  // As empty_like, in the order of x's axes.
  c.def_static(
      "like",
      [](const Array& x, int dtype, int device) {
        return like(x, dtype < 0 ? x.dtype : dtype_from(dtype), "empty_like",
                    device < 0 ? x.device() : device_from(device));
      },
      nb::arg("x"), nb::arg("dtype") = -1, nb::arg("device") = -1);
  c.def_static("from_list", &from_list);
  c.def("item", [](Array& x) {
    expect_readable(x, "item");
    if (x.device().type == Device::meta) expect_values(x, "item");
    if (x.size() != 1)
      raise("ShapeError", "item", "expected one element, got shape " + shape_text(x));
    Array own = on_host(x, "item");
    own.sync();
    return element(own.dtype, own.data);
  });
  c.def("tolist", [](Array& x) {
    expect_readable(x, "tolist");
    if (is_block(x.dtype))
      raise("DTypeError", "tolist",
            std::string("expected a plain dtype, got ") + row(x.dtype).name);
    Array own = on_host(x, "tolist");
    own.sync();
    return to_list(own, 0, own.data);
  });
  c.def("cast", [](const Array& x, int dtype) { return cast(x, dtype_from(dtype), "to"); });
  // A copy on the device of this code; the array itself when it is there.
  c.def("moved", [](const Array& x, int device) {
    return checked([&](Error& error) { return moved(x, device_from(device), "to", error); });
  });
  c.def("contiguous", [](const Array& x) {
    return checked([&](Error& error) { return contiguous(x, "contiguous", error); });
  });
  c.def("clone", [](const Array& x) {
    return checked([&](Error& error) { return contiguous_copy(x, "clone", error); });
  });
  // As clone, in the order of x's axes.
  c.def("copy", [](const Array& x) {
    Array out = like(x, x.dtype, "clone");
    copy_into(out, x, "clone");
    return out;
  });
  c.def("copy_", [](Array& x, const Array& source) { assign(x, source, "copy_"); });
  // As copy_ of one element, which may also be written where elements are one memory (expanded).
  c.def("fill_", [](Array& x, const Array& value) {
    View apart = x;
    for (int i = 0; i < x.ndim; ++i)
      if (x.strides[i] == 0 && x.shape[i] > 1) apart.shape[i] = 1;
    Array target = x.with(apart);
    assign(target, value, "fill_");
  });
  // As copy_, for x[…] = source: leading axes of length 1 that the target does not have are
  // dropped.
  c.def("assign", [](Array& x, const Array& source) {
    Array part = source;
    int extra = part.ndim - x.ndim;
    for (int i = 0; i < extra && part.shape[0] == 1; ++i) {
      --part.ndim;
      for (int j = 0; j < part.ndim; ++j) {
        part.shape[j] = part.shape[j + 1];
        part.strides[j] = part.strides[j + 1];
      }
    }
    assign(x, part, "setitem");
  });

  c.def_prop_ro("dtype", [](const Array& x) { return static_cast<int>(x.dtype); });
  c.def_prop_ro("ndim", [](const Array& x) { return static_cast<int>(x.ndim); });
  c.def_prop_ro("shape", [](const Array& x) { return tuple_of(x.shape, x.ndim); });
  c.def_prop_ro("sizes", [](const Array& x) { return size_from(x.shape, x.ndim); });
  c.def_prop_ro("strides", [](const Array& x) { return tuple_of(x.strides, x.ndim); });
  c.def_prop_ro("size", [](const Array& x) { return x.size(); });
  c.def_prop_ro("nbytes",
                [](const Array& x) { return x.size() / block_of(x.dtype) * bytes_of(x.dtype); });
  c.def_prop_ro("offset", [](const Array& x) {
    return x.byte_offset() / bytes_of(x.dtype) * block_of(x.dtype);
  });
  c.def_prop_ro("device", [](const Array& x) { return static_cast<int>(x.device().type); });
  c.def_prop_ro("data_ptr", [](Array& x) {
    x.sync();
    return x.device().type == Device::meta ? 0 : reinterpret_cast<uintptr_t>(x.data);
  });
  c.def_prop_ro("storage_id",
                [](const Array& x) { return reinterpret_cast<uintptr_t>(x.storage()); });
  // How many arrays share the storage: 1 means that nothing else can see a change.
  c.def_prop_ro("storage_refs", [](const Array& x) { return x.storage()->refs.load(); });
  c.def_prop_ro("is_contiguous", [](const Array& x) { return x.contiguous(); });
  c.def_prop_ro("borrowed",
                [](const Array& x) { return x.storage()->release && !x.storage()->copy; });
  c.def_prop_ro("writable", [](const Array& x) { return x.storage()->writable; });
  c.def_prop_ro("version", [](const Array& x) { return x.version(); });
  // Every write of the storage, whichever array it went through.
  c.def_prop_ro("storage_version", [](const Array& x) { return x.storage()->version.load(); });
  // Before the storage is written next, tallow.autograd.record.before_write(storage_id) is called.
  c.def("watch", [](const Array& x) { x.storage()->guards |= kWatched; });
  c.def_prop_ro("inference",
                [](const Array& x) { return (x.storage()->guards & kInference) != 0; });
  c.def("with_own_version", [](const Array& x) {
    Array out = x.with_own_version();
    if (!out.ok()) raise("OutOfMemoryError", "data", "no room for a version counter");
    return out;
  });
  bind_views(c);
  bind_indexing(c);
  bind_join(c);
  bind_exchange(c);
}

}  // namespace tl::bind
