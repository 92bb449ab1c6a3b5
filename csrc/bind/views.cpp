// Views: other shapes and strides over the same storage. Nothing here copies, save reshape when no
// view can do it.
#include "bind.h"

#include <nanobind/stl/string.h>

namespace tl::bind {
namespace {

int axis_of(int64_t axis, int ndim, const char* where) {
  if (axis < -ndim || axis >= ndim) {
    raise("IndexRangeError", where,
          "expected an axis in [" + std::to_string(-ndim) + ", " + std::to_string(ndim - 1) +
              "], got " + std::to_string(axis));
  }
  return static_cast<int>(axis < 0 ? axis + ndim : axis);
}

void shift(View& v, int64_t elements) {
  v.data += elements / block_of(v.dtype) * bytes_of(v.dtype);
}

// In block dtypes the last axis is stored in blocks and stays where it is.
void keep_blocks(const View& v, bool ok, const char* where) {
  if (is_block(v.dtype) && !ok)
    raise("DTypeError", where,
          std::string("the last axis of ") + row(v.dtype).name +
              " is stored in blocks and cannot be cut, moved or repeated");
}

void remove_axis(View& v, int axis) {
  for (int i = axis; i + 1 < v.ndim; ++i) {
    v.shape[i] = v.shape[i + 1];
    v.strides[i] = v.strides[i + 1];
  }
  --v.ndim;
}

void insert_axis(View& v, int axis, const char* where) {
  if (v.ndim == kMaxDims)
    raise("ShapeError", where, "expected at most " + std::to_string(kMaxDims) + " axes, got more");
  for (int i = v.ndim; i > axis; --i) {
    v.shape[i] = v.shape[i - 1];
    v.strides[i] = v.strides[i - 1];
  }
  v.shape[axis] = 1;
  v.strides[axis] = 0;
  ++v.ndim;
}

void select(View& v, int axis, int64_t index, const char* where) {
  int64_t n = v.shape[axis];
  if (index < -n || index >= n) {
    raise("IndexRangeError", where,
          "index " + std::to_string(index) + " is out of range for axis " + std::to_string(axis) +
              " of length " + std::to_string(n));
  }
  keep_blocks(v, axis != v.ndim - 1, where);
  shift(v, (index < 0 ? index + n : index) * v.strides[axis]);
  remove_axis(v, axis);
}

void slice(View& v, int axis, nb::handle s) {
  Py_ssize_t start, stop, step;
  if (PySlice_Unpack(s.ptr(), &start, &stop, &step) < 0) throw nb::python_error();
  Py_ssize_t n = PySlice_AdjustIndices(v.shape[axis], &start, &stop, step);
  bool whole = n == v.shape[axis] && step == 1;
  if (!whole && axis == v.ndim - 1 && is_block(v.dtype)) {
    int block = block_of(v.dtype);
    keep_blocks(v, step == 1 && start % block == 0 && n % block == 0, "slice");
  }
  if (n > 0) shift(v, start * v.strides[axis]);
  v.shape[axis] = n;
  if (n > 1) v.strides[axis] *= step;  // a step longer than the axis could overflow
}

void transpose(View& v, int a, int b, const char* where) {
  keep_blocks(v, a == b || (a != v.ndim - 1 && b != v.ndim - 1), where);
  std::swap(v.shape[a], v.shape[b]);
  std::swap(v.strides[a], v.strides[b]);
}

// Strides under which `v` has the new shape, if there are any. Old axes that are contiguous among
// themselves form a chunk; each chunk must be covered exactly by a run of new axes. Both are walked
// from the innermost axis outwards.
bool view_strides(const View& v, View& out) {
  int fresh = out.ndim - 1;
  int64_t chunk = 1, covered = 1, stride = v.strides[v.ndim - 1];
  for (int old = v.ndim - 1; old >= 0; --old) {
    chunk *= v.shape[old];
    bool ends = old == 0 || (v.shape[old - 1] != 1 && v.strides[old - 1] != chunk * stride);
    if (!ends) continue;
    for (; fresh >= 0 && (covered < chunk || out.shape[fresh] == 1); --fresh) {
      out.strides[fresh] = covered * stride;
      covered *= out.shape[fresh];
    }
    if (covered != chunk) return false;
    if (old > 0) stride = v.strides[old - 1];
    chunk = covered = 1;
  }
  return fresh < 0;
}

View shaped(const View& v, nb::handle sequence, const char* where) {
  View out = v;
  nb::object fast = nb::steal(PySequence_Fast(sequence.ptr(), "expected a sequence of sizes"));
  if (!fast.is_valid()) throw nb::python_error();
  int64_t n = PySequence_Fast_GET_SIZE(fast.ptr()), known = 1;
  if (n > kMaxDims)
    raise("ShapeError", where,
          "expected at most " + std::to_string(kMaxDims) + " axes, got " + std::to_string(n));
  int free_axis = -1;
  bool overflow = false;
  out.ndim = static_cast<int8_t>(n);
  for (int i = 0; i < n; ++i) {
    int64_t size = size_of(PySequence_Fast_GET_ITEM(fast.ptr(), i), where);
    out.shape[i] = size;
    if (size == -1 && free_axis < 0)
      free_axis = i;
    else if (size < 0)
      overflow = true;
    else
      overflow |= __builtin_mul_overflow(known, size, &known);
  }
  int64_t total = v.size();
  if (!overflow && free_axis >= 0 && known > 0 && total % known == 0) {
    out.shape[free_axis] = total / known;
    known = total;
  }
  if (overflow || known != total || (free_axis >= 0 && out.shape[free_axis] < 0)) {
    raise("ShapeError", where,
          "expected a shape of " + std::to_string(total) + " elements (as " + shape_text(v) +
              " has), got " + shape_text(out));
  }
  if (is_block(v.dtype) && (out.ndim == 0 || out.shape[out.ndim - 1] % block_of(v.dtype)))
    keep_blocks(v, false, where);
  return out;
}

// The view with the new shape, or false when only a copy can have it.
bool as_view(const View& v, View& out) {
  if (v.contiguous() || v.size() == 0) {
    set_contiguous_strides(out);
    return true;
  }
  return v.size() > 0 && view_strides(v, out);
}

// ints, slices, None, Ellipsis. Null result when another kind of index is met: the caller handles
// those.
nb::object basic_index(Array& x, nb::handle key) {
  x.sync();
  nb::object holder =
      PyTuple_Check(key.ptr()) ? nb::borrow(key) : nb::object(nb::make_tuple(nb::borrow(key)));
  int n = static_cast<int>(PyTuple_GET_SIZE(holder.ptr())), used = 0;
  bool ellipsis = false;
  for (int i = 0; i < n; ++i) {
    PyObject* k = PyTuple_GET_ITEM(holder.ptr(), i);
    if (k == Py_Ellipsis) {
      if (ellipsis) raise("IndexRangeError", "index", "expected at most one ellipsis, got more");
      ellipsis = true;
    } else if (k != Py_None) {
      if (PyBool_Check(k) || !(PySlice_Check(k) || PyLong_Check(k))) return nb::none();
      ++used;
    }
  }
  if (used > x.ndim) {
    raise("IndexRangeError", "index",
          "expected at most " + std::to_string(x.ndim) + " indices for shape " + shape_text(x) +
              ", got " + std::to_string(used));
  }
  View v = x;
  int axis = 0;
  for (int i = 0; i < n; ++i) {
    PyObject* k = PyTuple_GET_ITEM(holder.ptr(), i);
    if (k == Py_Ellipsis)
      axis += x.ndim - used;
    else if (k == Py_None)
      insert_axis(v, axis++, "index");
    else if (PySlice_Check(k))
      slice(v, axis++, k);
    else {
      int overflow = 0;
      int64_t index = PyLong_AsLongLongAndOverflow(k, &overflow);
      if (overflow)
        raise("IndexRangeError", "index", "expected an index below 2**63, got a larger one");
      select(v, axis, index, "index");
    }
  }
  return nb::cast(x.with(v));
}

int read_sizes(nb::handle sequence, int64_t* values, const char* where) {
  nb::object fast = nb::steal(PySequence_Fast(sequence.ptr(), "expected a sequence of integers"));
  if (!fast.is_valid()) throw nb::python_error();
  int64_t n = PySequence_Fast_GET_SIZE(fast.ptr());
  if (n > kMaxDims)
    raise("ShapeError", where,
          "expected at most " + std::to_string(kMaxDims) + " axes, got " + std::to_string(n));
  for (int64_t i = 0; i < n; ++i)
    values[i] = size_of(PySequence_Fast_GET_ITEM(fast.ptr(), i), where);
  return static_cast<int>(n);
}

int64_t held_bytes(const Array& x) { return static_cast<int64_t>(tl::held_bytes(*x.storage())); }

// Any shape and strides, `shift` elements after the first element of `x`; every element must lie
// inside the storage.
Array strided(const Array& x, nb::handle shape, nb::handle strides, int64_t shift_) {
  const char* where = "as_strided";
  if (is_block(x.dtype))
    raise("DTypeError", where, std::string("expected a plain dtype, got ") + row(x.dtype).name);
  View out = x;
  int n = read_sizes(shape, out.shape, where);
  if (read_sizes(strides, out.strides, where) != n)
    raise("ShapeError", where, "expected as many strides as sizes");
  out.ndim = static_cast<int8_t>(n);
  int64_t low = shift_, high = shift_, total = 1, step, bytes = bytes_of(x.dtype), begin, end;
  bool empty = false, large = false;
  for (int i = 0; i < n; ++i) {
    if (out.shape[i] < 0)
      raise("ShapeError", where, "expected sizes of at least 0, got " + shape_text(out));
    if (out.shape[i] == 0) {
      empty = true;
      continue;
    }
    large |= __builtin_mul_overflow(total, out.shape[i], &total);
    large |= __builtin_mul_overflow(out.shape[i] - 1, out.strides[i], &step);
    int64_t& side = step < 0 ? low : high;
    large |= __builtin_add_overflow(side, step, &side);
  }
  if (empty) return x.with(out);
  large |= __builtin_mul_overflow(low, bytes, &begin);
  large |= __builtin_mul_overflow(high, bytes, &end);
  large |= __builtin_add_overflow(begin, x.byte_offset(), &begin);
  large |= __builtin_add_overflow(end, x.byte_offset() + bytes, &end);
  int64_t held = held_bytes(x);
  if (large || begin < 0 || end > held)
    raise("ShapeError", where,
          "expected elements inside the storage of " + std::to_string(held / bytes) +
              " elements, got some outside");
  shift(out, shift_);
  return x.with(out);
}

// The same bytes as another plain dtype. When it is narrower or wider, the last axis, whose
// elements must be neighbours, grows or shrinks.
Array retype(const Array& x, int dtype) {
  if (dtype < 0 || dtype >= kDTypeCount)
    raise("DTypeError", "view", "expected the code of a dtype, got " + std::to_string(dtype));
  auto wanted = static_cast<DType>(dtype);
  if (is_block(x.dtype) || is_block(wanted))
    raise("DTypeError", "view", "expected plain dtypes, got a block dtype");
  View out = x;
  out.dtype = wanted;
  int64_t from = bytes_of(x.dtype), to = bytes_of(wanted),
          ratio = from > to ? from / to : to / from;
  if (from == to) return x.with(out);
  bool fits = x.ndim > 0 && (x.back_stride(1) == 1 || (from > to && x.back(1) == 1));
  if (fits && to > from) {
    fits = x.back(1) % ratio == 0 && x.byte_offset() % to == 0;
    for (int i = 2; i <= x.ndim; ++i) fits = fits && x.back_stride(i) % ratio == 0;
  }
  if (!fits)
    raise("ShapeError", "view",
          std::string("expected a last axis whose elements can be seen as ") + row(wanted).name +
              ", got shape " + shape_text(x));
  for (int i = 0; i < x.ndim; ++i) {
    int64_t& length = i + 1 == x.ndim ? out.shape[i] : out.strides[i];
    if (to > from)
      length /= ratio;
    else if (__builtin_mul_overflow(length, ratio, &length))
      raise("ShapeError", "view", "expected fewer than 2**63 elements");
  }
  out.strides[x.ndim - 1] = 1;
  if (contiguous_bytes(wanted, out.shape, out.ndim) < 0)
    raise("ShapeError", "view", "expected fewer than 2**63 bytes, got " + shape_text(out));
  return x.with(out);
}

// Arrays one after the other along an axis, converted to `dtype`. Those of shape (0,) are left out,
// whatever the shape of the others.
Array cat(nb::handle arrays, int64_t dim, int dtype_) {
  const char* where = "cat";
  // A tuple of our own: another thread may change a list while the copying lets it run.
  nb::object fast = nb::steal(PySequence_Tuple(arrays.ptr()));
  if (!fast.is_valid()) throw nb::python_error();
  int64_t count = PyTuple_GET_SIZE(fast.ptr()), total = 0;
  auto dtype = static_cast<DType>(dtype_);
  auto item = [&](int64_t i) -> const Array& {
    return *nb::cast<Array*>(nb::handle(PyTuple_GET_ITEM(fast.ptr(), i)));
  };
  auto left_out = [](const Array& x) { return x.ndim == 1 && x.shape[0] == 0; };
  const Array* first = nullptr;
  for (int64_t i = 0; i < count; ++i) {
    if (!first || (left_out(*first) && !left_out(item(i)))) first = &item(i);
  }
  if (!first) raise("ShapeError", where, "expected at least one tensor, got none");
  if (!first->ndim)
    raise("ShapeError", where, "expected tensors of at least one axis, got a 0-d tensor");
  int axis = axis_of(dim, first->ndim, where);
  for (int64_t i = 0; i < count; ++i) {
    const Array& x = item(i);
    if (x.dtype != dtype && (is_block(x.dtype) || is_block(dtype)))
      raise("DTypeError", where,
            std::string("expected plain dtypes, or one block dtype, got ") + row(x.dtype).name);
    if (left_out(x)) continue;
    bool same = x.ndim == first->ndim;
    for (int j = 0; same && j < x.ndim; ++j) same = j == axis || x.shape[j] == first->shape[j];
    if (!same)
      raise("ShapeError", where,
            "expected shapes equal to " + shape_text(*first) + " but for axis " +
                std::to_string(axis) + ", got " + shape_text(x));
    if (__builtin_add_overflow(total, x.shape[axis], &total))
      raise("ShapeError", where, "expected fewer than 2**63 positions, got more");
  }
  int64_t shape[kMaxDims];
  for (int j = 0; j < first->ndim; ++j) shape[j] = j == axis ? total : first->shape[j];
  Array out = empty(dtype, shape, first->ndim, where);
  int64_t at = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Array& x = item(i);
    if (left_out(x)) continue;
    View place = out;
    shift(place, at * out.strides[axis]);
    place.shape[axis] = x.shape[axis];
    at += x.shape[axis];
    Array part = out.with(place);
    if (part.size() > 0) copy_into(part, x, where);
  }
  return out;
}

}  // namespace

View broadcast_view(const View& x, const int64_t* shape, int ndim, const char* where) {
  View out = x;
  bool fits = ndim >= x.ndim && ndim <= kMaxDims;
  for (int i = 1; fits && i <= ndim; ++i) {
    int64_t size = x.back(i);
    fits = size == shape[ndim - i] || size == 1;
  }
  if (!fits) {
    View wanted;
    wanted.ndim = static_cast<int8_t>(ndim < kMaxDims ? ndim : kMaxDims);
    for (int i = 0; i < wanted.ndim; ++i) wanted.shape[i] = shape[i];
    raise("ShapeError", where,
          "expected a shape that broadcasts to " + shape_text(wanted) + ", got " + shape_text(x));
  }
  out.ndim = static_cast<int8_t>(ndim);
  for (int i = 1; i <= ndim; ++i) {
    int64_t size = x.back(i);
    out.shape[ndim - i] = shape[ndim - i];
    out.strides[ndim - i] = size == shape[ndim - i] && i <= x.ndim ? x.back_stride(i) : 0;
  }
  return out;
}

void bind_views(ArrayClass& c) {
  c.def("basic_index", &basic_index, nb::arg().none());
  c.def("reshape", [](const Array& x, nb::handle shape) {
    View out = shaped(x, shape, "reshape");
    if (as_view(x, out)) return x.with(out);
    Array copy = contiguous_copy(x, "reshape");
    out.data = copy.data;
    set_contiguous_strides(out);
    return copy.with(out);
  });
  c.def("view", [](const Array& x, nb::handle shape) {
    View out = shaped(x, shape, "view");
    if (!as_view(x, out))
      raise("ShapeError", "view",
            "the strides of shape " + shape_text(x) + " allow no view of shape " + shape_text(out) +
                "; use reshape");
    return x.with(out);
  });
  c.def("transpose", [](const Array& x, int64_t a, int64_t b) {
    View out = x;
    int n = x.ndim ? x.ndim : 1;  // a 0-d array has, for this, one axis
    int i = axis_of(a, n, "transpose"), j = axis_of(b, n, "transpose");
    if (x.ndim) transpose(out, i, j, "transpose");
    return x.with(out);
  });
  c.def("permute", [](const Array& x, nb::handle axes) {
    nb::object fast = nb::steal(PySequence_Fast(axes.ptr(), "expected a sequence of axes"));
    if (!fast.is_valid()) throw nb::python_error();
    int n = static_cast<int>(PySequence_Fast_GET_SIZE(fast.ptr()));
    if (n != x.ndim)
      raise("ShapeError", "permute",
            "expected " + std::to_string(x.ndim) + " axes, got " + std::to_string(n));
    View out = x;
    bool seen[kMaxDims] = {};
    for (int i = 0; i < n; ++i) {
      int64_t raw = PyLong_AsLongLong(PySequence_Fast_GET_ITEM(fast.ptr(), i));
      if (raw == -1 && PyErr_Occurred()) throw nb::python_error();
      int axis = axis_of(raw, n, "permute");
      if (seen[axis])
        raise("ShapeError", "permute",
              "expected each axis once, got axis " + std::to_string(axis) + " twice");
      seen[axis] = true;
      out.shape[i] = x.shape[axis];
      out.strides[i] = x.strides[axis];
      if (i == n - 1) keep_blocks(x, axis == n - 1, "permute");
    }
    return x.with(out);
  });
  c.def("expand", [](const Array& x, nb::handle sizes) {
    nb::object fast = nb::steal(PySequence_Fast(sizes.ptr(), "expected a sequence of sizes"));
    if (!fast.is_valid()) throw nb::python_error();
    int n = static_cast<int>(PySequence_Fast_GET_SIZE(fast.ptr()));
    if (n < x.ndim || n > kMaxDims)
      raise("ShapeError", "expand",
            "expected at least " + std::to_string(x.ndim) + " sizes, got " + std::to_string(n));
    int64_t shape[kMaxDims];
    for (int i = 0; i < n; ++i) {
      shape[i] = size_of(PySequence_Fast_GET_ITEM(fast.ptr(), i), "expand");
      if (shape[i] == -1 && i >= n - x.ndim) shape[i] = x.shape[i - (n - x.ndim)];
      if (shape[i] < 0)
        raise("ShapeError", "expand",
              "expected sizes of at least 0 (or -1 for an axis to keep), got " +
                  std::to_string(shape[i]));
    }
    View out = broadcast_view(x, shape, n, "expand");
    int64_t total = 1;
    bool large = false;  // leaving out axes of length 0: no product of some axes may overflow
    for (int i = 0; i < n; ++i)
      large |= shape[i] > 0 && __builtin_mul_overflow(total, shape[i], &total);
    if (large)
      raise("ShapeError", "expand",
            "expected fewer than 2**63 elements, got shape " + shape_text(out));
    keep_blocks(x, n == 0 || x.back(1) == shape[n - 1], "expand");
    return x.with(out);
  });
  c.def(
      "squeeze",
      [](const Array& x, nb::handle axis) {
        View out = x;
        if (axis.is_none()) {
          for (int i = out.ndim - 1; i >= 0; --i) {
            if (out.shape[i] == 1) remove_axis(out, i);
          }
        } else {
          int i = axis_of(nb::cast<int64_t>(axis), x.ndim ? x.ndim : 1, "squeeze");
          if (x.ndim && out.shape[i] == 1) remove_axis(out, i);
        }
        return x.with(out);
      },
      nb::arg().none());
  c.def("unsqueeze", [](const Array& x, int64_t axis) {
    View out = x;
    insert_axis(out, axis_of(axis, x.ndim + 1, "unsqueeze"), "unsqueeze");
    keep_blocks(x, out.shape[out.ndim - 1] != 1, "unsqueeze");
    return x.with(out);
  });
  c.def("narrow", [](const Array& x, int64_t axis, int64_t start, int64_t length) {
    View out = x;
    int i = axis_of(axis, x.ndim, "narrow");
    if (start < 0 || length < 0 || start > x.shape[i] - length) {
      raise("ShapeError", "narrow",
            "expected a range inside [0, " + std::to_string(x.shape[i]) + "), got start " +
                std::to_string(start) + " and length " + std::to_string(length));
    }
    keep_blocks(
        x, i != x.ndim - 1 || (start % block_of(x.dtype) == 0 && length % block_of(x.dtype) == 0),
        "narrow");
    shift(out, start * out.strides[i]);
    out.shape[i] = length;
    return x.with(out);
  });
  c.def_static("cat", &cat);
  c.def_prop_ro("storage_bytes", &held_bytes);
  c.def("strided", &strided);
  c.def("retype", &retype);
}

}  // namespace tl::bind
