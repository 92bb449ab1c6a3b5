// Joining for Python.
#include "../core/join.h"

#include <vector>

#include "bind.h"

namespace tl::bind {
namespace {

Array cat_of(nb::handle arrays, int64_t axis, int dtype) {
  // A tuple of our own: another thread may change a list while the copying lets it run.
  nb::object fast = nb::steal(PySequence_Tuple(arrays.ptr()));
  if (!fast.is_valid()) throw nb::python_error();
  std::vector<const Array*> list(static_cast<size_t>(PyTuple_GET_SIZE(fast.ptr())));
  for (size_t i = 0; i < list.size(); ++i)
    list[i] =
        nb::cast<Array*>(nb::handle(PyTuple_GET_ITEM(fast.ptr(), static_cast<Py_ssize_t>(i))));
  return checked([&](Error& error) {
    return cat(list.data(), static_cast<int64_t>(list.size()), axis, dtype_from(dtype), error);
  });
}

}  // namespace

void bind_join(ArrayClass& c) { c.def_static("cat", &cat_of); }

}  // namespace tl::bind
