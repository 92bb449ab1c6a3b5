// Views: other shapes and strides over the same storage. Nothing here copies, save reshape when no
// view can do it; indexing.cpp and join.cpp hold what picks elements out and puts arrays together.
#include "axes.h"

#include <nanobind/stl/string.h>

namespace tl::bind {
namespace {

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
  if (from == to) return aligned(x.with(out), "view");
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
  return aligned(x.with(out), "view");
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
  c.def_prop_ro("storage_bytes", &held_bytes);
  c.def("strided", &strided);
  c.def("retype", &retype);
}

}  // namespace tl::bind
