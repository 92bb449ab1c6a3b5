#include "join.h"

#include "views.h"

namespace tl {
namespace {

constexpr const char* kWhere = "cat";

bool left_out(const View& x) { return x.ndim == 1 && x.shape[0] == 0; }

// The length along the axis of all of them together; -1 with an error when they do not fit.
int64_t joined_length(const Array* const* arrays, int64_t count, const View& first, int axis,
                      DType dtype, Error& error) {
  int64_t total = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Array& x = *arrays[i];
    if (x.dtype != dtype && (is_block(x.dtype) || is_block(dtype))) {
      error.set(ErrorKind::dtype, kWhere, "expected plain dtypes, or one block dtype, got %s",
                row(x.dtype).name);
      return -1;
    }
    if (left_out(x)) continue;
    bool same = x.ndim == first.ndim;
    for (int j = 0; same && j < x.ndim; ++j) same = j == axis || x.shape[j] == first.shape[j];
    if (!same) {
      error.set(ErrorKind::shape, kWhere, "expected shapes equal to %s but for axis %d, got %s",
                ShapeText(first).text, axis, ShapeText(x).text);
      return -1;
    }
    if (__builtin_add_overflow(total, x.shape[axis], &total)) {
      error.set(ErrorKind::shape, kWhere, "expected fewer than 2**63 positions, got more");
      return -1;
    }
  }
  return total;
}

}  // namespace

Array cat(const Array* const* arrays, int64_t count, int64_t dim, DType dtype, Error& error) {
  const Array* first = nullptr;
  for (int64_t i = 0; i < count; ++i) {
    if (!first || (left_out(*first) && !left_out(*arrays[i]))) first = arrays[i];
  }
  if (!first || !first->ndim) {
    error.set(ErrorKind::shape, kWhere,
              first ? "expected tensors of at least one axis, got a 0-d tensor"
                    : "expected at least one tensor, got none");
    return {};
  }
  const int axis = axis_of(dim, first->ndim, kWhere, error);
  const int64_t total = axis < 0 ? -1 : joined_length(arrays, count, *first, axis, dtype, error);
  if (total < 0) return {};
  int64_t shape[kMaxDims];
  for (int j = 0; j < first->ndim; ++j) shape[j] = j == axis ? total : first->shape[j];
  Array out = new_array(dtype, shape, first->ndim, first->device(), kWhere, error);
  int64_t at = 0;
  for (int64_t i = 0; out.ok() && i < count; ++i) {
    const Array& x = *arrays[i];
    if (left_out(x)) continue;
    View place = out;
    place.shape[axis] = x.shape[axis];
    shift(place, at, out.strides[axis]);
    at += x.shape[axis];
    Array part = out.with(place);
    if (part.size() > 0 && !copy_into(part, x, kWhere, error)) return {};
  }
  return out;
}

}  // namespace tl
