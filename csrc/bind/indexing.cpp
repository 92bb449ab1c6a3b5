// Indexing by integers, slices, None and Ellipsis: a view.
#include "axes.h"

namespace tl::bind {
namespace {

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

// ints, slices, None, Ellipsis. None when another kind of index is met: the caller handles
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

}  // namespace

void bind_indexing(ArrayClass& c) { c.def("basic_index", &basic_index, nb::arg().none()); }

}  // namespace tl::bind
