// Indexing for Python: ints, slices, None and Ellipsis become the items of core/index.
#include "../core/index.h"

#include "bind.h"

namespace tl::bind {
namespace {

constexpr int kMaxItems = 4 * kMaxDims;  // more can only be refused

// False for a kind of index that is no view.
bool item_of(PyObject* key, IndexItem& item) {
  if (key == Py_Ellipsis) {
    item.kind = IndexItem::ellipsis;
  } else if (key == Py_None) {
    item.kind = IndexItem::new_axis;
  } else if (PySlice_Check(key)) {
    item.kind = IndexItem::slice;
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(key, &start, &stop, &step) < 0) throw nb::python_error();
    // The lowest bound is a left out one only where Python says so by None.
    auto* slice = reinterpret_cast<PySliceObject*>(key);
    item.start = slice->start == Py_None   ? IndexItem::kOmitted
                 : start < -PY_SSIZE_T_MAX ? -PY_SSIZE_T_MAX
                                           : start;
    item.stop = slice->stop == Py_None   ? IndexItem::kOmitted
                : stop < -PY_SSIZE_T_MAX ? -PY_SSIZE_T_MAX
                                         : stop;
    item.step = step;
  } else if (PyLong_Check(key) && !PyBool_Check(key)) {
    int overflow = 0;
    item.kind = IndexItem::integer;
    item.start = PyLong_AsLongLongAndOverflow(key, &overflow);
    if (overflow)
      raise("IndexRangeError", "index", "expected an index below 2**63, got a larger one");
  } else {
    return false;
  }
  return true;
}

// None when another kind of index is met: the caller handles those.
nb::object basic_index(Array& x, nb::handle key) {
  x.sync();
  const bool many = PyTuple_Check(key.ptr());
  const int64_t n = many ? PyTuple_GET_SIZE(key.ptr()) : 1;
  if (n > kMaxItems)
    raise("IndexRangeError", "index",
          "expected at most " + std::to_string(kMaxItems) + " indices, got " + std::to_string(n));
  IndexItem items[kMaxItems];
  for (int64_t i = 0; i < n; ++i) {
    if (!item_of(many ? PyTuple_GET_ITEM(key.ptr(), i) : key.ptr(), items[i])) return nb::none();
  }
  return nb::cast(
      checked([&](Error& error) { return index(x, items, static_cast<int>(n), error); }));
}

}  // namespace

void bind_indexing(ArrayClass& c) { c.def("basic_index", &basic_index, nb::arg().none()); }

}  // namespace tl::bind
