// Views for Python: sequences of integers become the lists of core/views.
#include "../core/views.h"

#include "bind.h"

namespace tl::bind {
namespace {

// A list that has more integers than axes keeps its count only: core refuses it.
struct Ints {
  int64_t values[kMaxDims];
  int count;
  Ints(nb::handle sequence, const char* where) {
    nb::object fast = nb::steal(PySequence_Fast(sequence.ptr(), "expected a sequence of integers"));
    if (!fast.is_valid()) throw nb::python_error();
    count = static_cast<int>(PySequence_Fast_GET_SIZE(fast.ptr()));
    for (int i = 0; i < count && i < kMaxDims; ++i)
      values[i] = size_of(item_at(fast, i, where), where);
  }
  operator IntList() const { return {values, count}; }
};

template <Array (*make)(const Array&, IntList, Error&)>
auto of_list(const char* where) {
  return [where](const Array& x, nb::handle sequence) {
    const Ints list(sequence, where);
    return checked([&](Error& error) { return make(x, list, error); });
  };
}

}  // namespace

void bind_views(ArrayClass& c) {
  c.def("reshape", of_list<reshape>("reshape"));
  c.def("view", of_list<view>("view"));
  c.def("permute", of_list<permute>("permute"));
  c.def("expand", of_list<expand>("expand"));
  c.def("transpose", [](const Array& x, int64_t a, int64_t b) {
    return checked([&](Error& error) { return transpose(x, a, b, error); });
  });
  c.def(
      "squeeze",
      [](const Array& x, nb::handle axis) {
        return checked([&](Error& error) {
          return axis.is_none() ? squeeze(x, error) : squeeze(x, nb::cast<int64_t>(axis), error);
        });
      },
      nb::arg().none());
  c.def("unsqueeze", [](const Array& x, int64_t axis) {
    return checked([&](Error& error) { return unsqueeze(x, axis, error); });
  });
  c.def("narrow", [](const Array& x, int64_t axis, int64_t start, int64_t length) {
    return checked([&](Error& error) { return narrow(x, axis, start, length, error); });
  });
  c.def_prop_ro("storage_bytes", [](const Array& x) { return held_bytes(*x.storage()); });
  c.def("strided", [](const Array& x, nb::handle shape, nb::handle strides, int64_t offset) {
    const Ints sizes(shape, "as_strided"), steps(strides, "as_strided");
    return checked([&](Error& error) { return as_strided(x, sizes, steps, offset, error); });
  });
  c.def("retype", [](const Array& x, int dtype) {
    return checked([&](Error& error) { return view_dtype(x, dtype, error); });
  });
}

void bind_complex_views(nb::module_& m) {
  m.def("view_as_real",
        [](const Array& x) { return checked([&](Error& e) { return view_as_real(x, e); }); });
  m.def("view_as_complex",
        [](const Array& x) { return checked([&](Error& e) { return view_as_complex(x, e); }); });
}

}  // namespace tl::bind
