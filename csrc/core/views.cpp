#include "views.h"

#include <utility>

namespace tl {
namespace {

using Long = long long;

bool expect_axes(IntList list, const char* where, Error& error) {
  if (list.count <= kMaxDims) return true;
  return error.set(ErrorKind::shape, where, "expected at most %d axes, got %d", kMaxDims,
                   list.count);
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

// Refuses what has more elements, or bytes, than can be counted.
bool countable(const View& v, const char* where, Error& error) {
  if (contiguous_bytes(v.dtype, v.shape, v.ndim) >= 0) return true;
  return error.set(ErrorKind::shape, where, "expected fewer than 2**63 bytes, got %s of %s",
                   ShapeText(v).text, row(v.dtype).name);
}

// `v` with the sizes filled in; strides are still to be found.
bool new_shape(const View& v, IntList shape, const char* where, View& out, Error& error) {
  if (!expect_axes(shape, where, error)) return false;
  out = v;
  out.ndim = static_cast<int8_t>(shape.count);
  int64_t known = 1;
  int free_axis = -1;
  bool overflow = false, zero = false;
  for (int i = 0; i < shape.count; ++i) {
    int64_t size = out.shape[i] = shape.values[i];
    if (size == -1 && free_axis < 0)
      free_axis = i;
    else if (size < 0)
      overflow = true;
    else if (size == 0)
      zero = true;
    else
      overflow |= __builtin_mul_overflow(known, size, &known);
  }
  if (zero) known = 0;
  int64_t total = v.size();
  if (!overflow && free_axis >= 0 && known > 0 && total % known == 0) {
    out.shape[free_axis] = total / known;
    known = total;
  }
  if (overflow && zero && total == 0) return countable(out, where, error);
  if (overflow || known != total || (free_axis >= 0 && out.shape[free_axis] < 0))
    return error.set(ErrorKind::shape, where,
                     "expected a shape of %lld elements (as %s has), got %s",
                     static_cast<Long>(total), ShapeText(v).text, ShapeText(out).text);
  bool whole = out.ndim > 0 && out.shape[out.ndim - 1] % block_of(v.dtype) == 0;
  return keep_blocks(v, whole, where, error) && countable(out, where, error);
}

// False when only a copy can have the new shape.
bool find_strides(const View& v, View& out) {
  if (!v.contiguous() && v.size() != 0) return view_strides(v, out);
  set_contiguous_strides(out);
  return true;
}

// Whether elements with these strides, `offset` after the first of `x`, lie inside the storage.
bool inside(const Array& x, const View& out, int64_t offset) {
  int64_t low = offset, high = offset, total = 1, step, bytes = bytes_of(x.dtype), begin, end;
  bool large = false;
  for (int i = 0; i < out.ndim; ++i) {
    if (out.shape[i] == 0) return true;
    large |= __builtin_mul_overflow(total, out.shape[i], &total);
    large |= __builtin_mul_overflow(out.shape[i] - 1, out.strides[i], &step);
    int64_t& side = step < 0 ? low : high;
    large |= __builtin_add_overflow(side, step, &side);
  }
  large |= __builtin_mul_overflow(low, bytes, &begin);
  large |= __builtin_mul_overflow(high, bytes, &end);
  large |= __builtin_add_overflow(begin, x.byte_offset(), &begin);
  large |= __builtin_add_overflow(end, x.byte_offset() + bytes, &end);
  return !large && begin >= 0 && end <= static_cast<int64_t>(held_bytes(*x.storage()));
}

// Whether the last axis can be counted in elements of `to` bytes.
bool can_resize(const Array& x, int64_t from, int64_t to) {
  bool fits = x.ndim > 0 && (x.back_stride(1) == 1 || (from > to && x.back(1) == 1));
  if (!fits || to < from) return fits;
  const int64_t ratio = to / from;
  fits = x.back(1) % ratio == 0 && x.byte_offset() % to == 0;
  for (int i = 2; i <= x.ndim; ++i) fits = fits && x.back_stride(i) % ratio == 0;
  return fits;
}

}  // namespace

int axis_of(int64_t axis, int ndim, const char* where, Error& error) {
  if (axis >= -ndim && axis < ndim) return static_cast<int>(axis < 0 ? axis + ndim : axis);
  error.set(ErrorKind::index, where, "expected an axis in [%d, %d], got %lld", -ndim, ndim - 1,
            static_cast<Long>(axis));
  return -1;
}

bool keep_blocks(const View& v, bool ok, const char* where, Error& error) {
  if (ok || !is_block(v.dtype)) return true;
  return error.set(ErrorKind::dtype, where,
                   "the last axis of %s is stored in blocks and cannot be cut, moved or repeated",
                   row(v.dtype).name);
}

void remove_axis(View& v, int axis) {
  for (int i = axis; i + 1 < v.ndim; ++i) {
    v.shape[i] = v.shape[i + 1];
    v.strides[i] = v.strides[i + 1];
  }
  --v.ndim;
}

bool insert_axis(View& v, int axis, const char* where, Error& error) {
  if (v.ndim == kMaxDims)
    return error.set(ErrorKind::shape, where, "expected at most %d axes, got more", kMaxDims);
  for (int i = v.ndim; i > axis; --i) {
    v.shape[i] = v.shape[i - 1];
    v.strides[i] = v.strides[i - 1];
  }
  v.shape[axis] = 1;
  v.strides[axis] = 0;
  ++v.ndim;
  return true;
}

Array reshape(const Array& x, IntList shape, Error& error) {
  View out;
  if (!new_shape(x, shape, "reshape", out, error)) return {};
  if (find_strides(x, out)) return x.with(out);
  Array copy = contiguous_copy(x, "reshape", error);
  if (!copy.ok()) return copy;
  out.data = copy.data;
  set_contiguous_strides(out);
  return copy.with(out);
}

Array view(const Array& x, IntList shape, Error& error) {
  View out;
  if (!new_shape(x, shape, "view", out, error)) return {};
  if (find_strides(x, out)) return x.with(out);
  error.set(ErrorKind::shape, "view",
            "the strides of shape %s allow no view of shape %s; use reshape", ShapeText(x).text,
            ShapeText(out).text);
  return {};
}

Array transpose(const Array& x, int64_t first, int64_t second, Error& error) {
  const char* where = "transpose";
  const int n = x.ndim ? x.ndim : 1;  // a 0-d array has, for this, one axis
  const int a = axis_of(first, n, where, error);
  const int b = a < 0 ? -1 : axis_of(second, n, where, error);
  if (b < 0) return {};
  View out = x;
  if (!x.ndim) return x.with(out);
  if (!keep_blocks(x, a == b || (a != n - 1 && b != n - 1), where, error)) return {};
  std::swap(out.shape[a], out.shape[b]);
  std::swap(out.strides[a], out.strides[b]);
  return x.with(out);
}

Array permute(const Array& x, IntList axes, Error& error) {
  const char* where = "permute";
  const int n = axes.count;
  if (n != x.ndim) {
    error.set(ErrorKind::shape, where, "expected %d axes, got %d", x.ndim, n);
    return {};
  }
  View out = x;
  bool seen[kMaxDims] = {};
  for (int i = 0; i < n; ++i) {
    const int axis = axis_of(axes.values[i], n, where, error);
    if (axis < 0) return {};
    if (seen[axis]) {
      error.set(ErrorKind::shape, where, "expected each axis once, got axis %d twice", axis);
      return {};
    }
    seen[axis] = true;
    out.shape[i] = x.shape[axis];
    out.strides[i] = x.strides[axis];
    if (i == n - 1 && !keep_blocks(x, axis == n - 1, where, error)) return {};
  }
  return x.with(out);
}

Array expand(const Array& x, IntList sizes, Error& error) {
  const char* where = "expand";
  const int n = sizes.count;
  if (n < x.ndim || n > kMaxDims) {
    error.set(ErrorKind::shape, where, "expected at least %d sizes, got %d", x.ndim, n);
    return {};
  }
  int64_t shape[kMaxDims];
  for (int i = 0; i < n; ++i) {
    const int old = i - (n - x.ndim);
    shape[i] = sizes.values[i] == -1 && old >= 0 ? x.shape[old] : sizes.values[i];
    if (shape[i] < 0) {
      error.set(ErrorKind::shape, where,
                "expected sizes of at least 0 (or -1 for an axis to keep), got %lld",
                static_cast<Long>(shape[i]));
      return {};
    }
  }
  View out;
  if (!broadcast_view(x, shape, n, where, out, error)) return {};
  if (!keep_blocks(x, n == 0 || x.back(1) == shape[n - 1], where, error) ||
      !countable(out, where, error))
    return {};
  return x.with(out);
}

Array squeeze(const Array& x, Error&) {
  View out = x;
  for (int i = out.ndim - 1; i >= 0; --i) {
    if (out.shape[i] == 1) remove_axis(out, i);
  }
  return x.with(out);
}

Array squeeze(const Array& x, int64_t axis, Error& error) {
  const int i = axis_of(axis, x.ndim ? x.ndim : 1, "squeeze", error);
  if (i < 0) return {};
  View out = x;
  if (x.ndim && out.shape[i] == 1) remove_axis(out, i);
  return x.with(out);
}

Array unsqueeze(const Array& x, int64_t axis, Error& error) {
  const char* where = "unsqueeze";
  const int i = axis_of(axis, x.ndim + 1, where, error);
  View out = x;
  if (i < 0 || !insert_axis(out, i, where, error) ||
      !keep_blocks(x, out.shape[out.ndim - 1] != 1, where, error))
    return {};
  return x.with(out);
}

Array narrow(const Array& x, int64_t axis, int64_t start, int64_t length, Error& error) {
  const char* where = "narrow";
  const int i = axis_of(axis, x.ndim, where, error);
  if (i < 0) return {};
  if (start < 0 || length < 0 || start > x.shape[i] - length) {
    error.set(ErrorKind::shape, where,
              "expected a range inside [0, %lld), got start %lld and length %lld",
              static_cast<Long>(x.shape[i]), static_cast<Long>(start), static_cast<Long>(length));
    return {};
  }
  const int block = block_of(x.dtype);
  bool whole = i != x.ndim - 1 || (start % block == 0 && length % block == 0);
  if (!keep_blocks(x, whole, where, error)) return {};
  View out = x;
  shift(out, start, out.strides[i]);
  out.shape[i] = length;
  return x.with(out);
}

Array as_strided(const Array& x, IntList shape, IntList strides, int64_t offset, Error& error) {
  const char* where = "as_strided";
  if (is_block(x.dtype)) {
    error.set(ErrorKind::dtype, where, "expected a plain dtype, got %s", row(x.dtype).name);
    return {};
  }
  if (!expect_axes(shape, where, error) || !expect_axes(strides, where, error)) return {};
  if (strides.count != shape.count) {
    error.set(ErrorKind::shape, where, "expected as many strides as sizes");
    return {};
  }
  View out = x;
  out.ndim = static_cast<int8_t>(shape.count);
  bool negative = false, empty = false;
  for (int i = 0; i < shape.count; ++i) {
    out.shape[i] = shape.values[i];
    out.strides[i] = strides.values[i];
    negative |= out.shape[i] < 0;
    empty |= out.shape[i] == 0;
  }
  if (negative) {
    error.set(ErrorKind::shape, where, "expected sizes of at least 0, got %s", ShapeText(out).text);
    return {};
  }
  if (!countable(out, where, error)) return {};
  if (!inside(x, out, offset)) {
    error.set(ErrorKind::shape, where,
              "expected elements inside the storage of %lld elements, got some outside",
              static_cast<Long>(held_bytes(*x.storage()) / bytes_of(x.dtype)));
    return {};
  }
  if (!empty) shift(out, offset, 1);
  return x.with(out);
}

Array view_dtype(const Array& x, int64_t code, Error& error) {
  const char* where = "view";
  if (code < 0 || code >= kDTypeCount) {
    error.set(ErrorKind::dtype, where, "expected the code of a dtype, got %lld",
              static_cast<Long>(code));
    return {};
  }
  const auto wanted = static_cast<DType>(code);
  if (is_block(x.dtype) || is_block(wanted)) return view_blocks(x, wanted, where, error);
  View out = x;
  out.dtype = wanted;
  const int64_t from = bytes_of(x.dtype), to = bytes_of(wanted);
  if (from == to) return aligned(x.with(out), where, error);
  if (!can_resize(x, from, to)) {
    error.set(ErrorKind::shape, where,
              "expected a last axis whose elements can be seen as %s, got shape %s",
              row(wanted).name, ShapeText(x).text);
    return {};
  }
  bool large = false;
  for (int i = 0; i < x.ndim; ++i) {
    int64_t& length = i + 1 == x.ndim ? out.shape[i] : out.strides[i];
    if (to > from)
      length /= to / from;
    else
      large |= __builtin_mul_overflow(length, from / to, &length);
  }
  out.strides[x.ndim - 1] = 1;
  if (large) {
    error.set(ErrorKind::shape, where, "expected fewer than 2**63 bytes, got %s of %s",
              ShapeText(x).text, row(x.dtype).name);
    return {};
  }
  if (!countable(out, where, error)) return {};
  return aligned(x.with(out), where, error);
}

Array view_as_real(const Array& x, Error& error) {
  const char* where = "view_as_real";
  if (x.dtype != DType::complex64) {
    error.set(ErrorKind::no_kernel, where, "expected complex64, got %s", row(x.dtype).name);
    return {};
  }
  if (x.ndim == kMaxDims) {
    error.set(ErrorKind::shape, where, "expected fewer than %d axes, got %s", kMaxDims,
              ShapeText(x).text);
    return {};
  }
  View out = x;
  out.dtype = DType::f32;
  bool large = false;
  for (int i = 0; i < out.ndim; ++i)
    large |= out.shape[i] > 1 && __builtin_mul_overflow(out.strides[i], 2, &out.strides[i]);
  out.shape[out.ndim] = 2;
  out.strides[out.ndim++] = 1;
  if (!large) return x.with(out);  // as many bytes as before
  error.set(ErrorKind::shape, where, "expected strides below 2**62, got %s", ShapeText(x).text);
  return {};
}

Array view_as_complex(const Array& x, Error& error) {
  const char* where = "view_as_complex";
  if (x.dtype != DType::f32) {
    error.set(ErrorKind::no_kernel, where, "expected f32, got %s", row(x.dtype).name);
    return {};
  }
  bool fits = x.ndim > 0 && x.back(1) == 2 && x.back_stride(1) == 1 && x.byte_offset() % 8 == 0;
  for (int i = 0; fits && i < x.ndim - 1; ++i) fits = x.strides[i] % 2 == 0 || x.shape[i] == 1;
  if (!fits) {
    error.set(ErrorKind::shape, where,
              "expected a last axis of 2 with stride 1 and the others even, got %s",
              ShapeText(x).text);
    return {};
  }
  View out = x;
  out.dtype = DType::complex64;
  --out.ndim;
  for (int i = 0; i < out.ndim; ++i) out.strides[i] /= 2;
  return x.with(out);
}

}  // namespace tl
