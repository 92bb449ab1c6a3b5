// Joining arrays along an axis: a new array.
#include "axes.h"

namespace tl::bind {
namespace {

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
  Array out = empty(dtype, shape, first->ndim, where, first->device());
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

void bind_join(ArrayClass& c) { c.def_static("cat", &cat); }

}  // namespace tl::bind
