// What the binding files share: raising Tallow's own errors, and running a kernel on arrays.
#pragma once
#include <nanobind/nanobind.h>

#include <string>

#include "../core/call.h"

namespace nb = nanobind;

namespace tl {
class Plan;
}

namespace tl::bind {

// Raises tallow.errors.<type> with `where: text`.
[[noreturn]] void raise(const char* type, const char* where, const std::string& text);
[[noreturn]] void raise(const Error& error);
std::string shape_text(const View& v);

// What a function of core gives, or its error as an exception.
template <class F>
auto checked(const F& f) {
  Error error;
  auto result = f(error);
  if (error.kind != ErrorKind::none) raise(error);
  return result;
}

DType dtype_from(int64_t code);  // DTypeError for one that is none
// Refuses to read elements of an array that has none.
inline void expect_values(const Array& x, const char* where) {
  checked([&](Error& error) { return expect_values(x, where, error); });
}
inline Array empty(DType dtype, const int64_t* shape, int ndim, const char* where,
                   Device device = {}) {
  return checked([&](Error& error) { return new_array(dtype, shape, ndim, device, where, error); });
}
inline Array like(const Array& x, DType dtype, const char* where, Device device) {
  return checked([&](Error& error) { return new_like(x, dtype, device, where, error); });
}
inline Array like(const Array& x, DType dtype, const char* where) {
  return like(x, dtype, where, x.device());
}
inline Array cast(const Array& x, DType dtype, const char* where) {
  return checked([&](Error& error) { return cast(x, dtype, where, error); });
}
inline Array aligned(Array x, const char* where) {
  return checked([&](Error& error) { return aligned(std::move(x), where, error); });
}
inline void copy_into(Array& out, const Array& x, const char* where) {
  checked([&](Error& error) { return copy_into(out, x, where, error); });
}

// The device of this thread's new arrays that are not told one, or -1: that of the operands of the
// op that makes them, or what the user's `with` block says.
inline thread_local int chosen_device = -1;
inline int default_device() { return chosen_device < 0 ? 0 : chosen_device; }
// Whether another device than the CPU was asked for: before that, nobody looks where arrays are.
inline bool several_devices = false;

// Refuses to read a value that would be fixed in the plan that this thread captures; `lent`: from
// now on Python may read and write the memory at any time.
void expect_readable(const Array& x, const char* where, bool lent = false);
// Tells the trace of a call (call_cache.h) that the course of its body may depend on values.
void refuse_trace();

// How an integer that has no 64 bits is written, for errors.
struct DigitsText {
  char text[48];
};
Number number_of(nb::handle h, DigitsText& digits, const char* where);
double real_of(nb::handle number, const char* where);
// ArgumentError for a number outside the dtype's range.
int64_t integer_of(nb::handle number, DType dtype, const char* where);
Array scalar(nb::handle number, DType dtype, const char* where);  // of 0 axes
int64_t shape_from(nb::handle sequence, int64_t* shape);          // gives the number of axes
int64_t size_of(nb::handle h,
                const char* where);  // of an axis; ShapeError when it has more than 63 bits

// Item i of what PySequence_Fast gave, held: reading one may run Python code that changes the list.
inline nb::object item_at(nb::handle fast, Py_ssize_t i, const char* where) {
  if (i >= PySequence_Fast_GET_SIZE(fast.ptr()))
    raise("ShapeError", where, "the list shrank while it was read");
  return nb::borrow(PySequence_Fast_GET_ITEM(fast.ptr(), i));
}

// Gives back a Py_buffer that lives as long as a storage, on whatever thread lets go last.
void drop_buffer(void* owner);
nb::list call_plan(Plan& plan, nb::list inputs);  // of arrays; gives those of the outputs

using ArrayClass = nb::class_<Array>;
void bind_array(nb::module_& m);
nb::object size_from(const int64_t* lengths, int n);  // the lengths of axes as tallow._native.Size
void bind_size(nb::module_& m);
void bind_views(ArrayClass& c);
void bind_complex_views(nb::module_& m);
void bind_indexing(ArrayClass& c);
void bind_join(ArrayClass& c);
void bind_interleaved(nb::module_& m);
void bind_exchange(ArrayClass& c);
extern PyType_Slot kBufferSlots[];
void bind_elementwise(nb::module_& m);
// The position behind `count` strings of a file from `at` on; -1 when they are not all inside.
int64_t skip_strings(nb::handle source, int64_t at, int64_t count);
void bind_scan(nb::module_& m);
void bind_texts(nb::module_& m);
void bind_host_device(nb::module_& m);
void bind_plan(nb::module_& m);
void bind_rewritten(nb::class_<Plan>& c);
void bind_program(nb::module_& m);
void bind_trace(nb::module_& m);

}  // namespace tl::bind
