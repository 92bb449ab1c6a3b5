// What the binding files share: raising Tallow's own errors, and running a kernel on arrays.
#pragma once
#include <nanobind/nanobind.h>

#include <string>

#include "../core/array.h"
#include "../core/kernel.h"
#include "../core/promote.h"

namespace nb = nanobind;

namespace tl::bind {

// Raises tallow.errors.<type> with `where: text`.
[[noreturn]] void raise(const char* type, const char* where, const std::string& text);
[[noreturn]] void raise(const Error& error);
std::string shape_text(const View& v);

Array empty(DType dtype, const int64_t* shape, int ndim, const char* where, Device device = {});
inline Array empty_like(const Array& x, const char* where) {
  return empty(x.dtype, x.shape, x.ndim, where, x.device());
}
[[noreturn]] void refuse_mixed(const char* where, Device a, Device b);
// Refuses to read elements of an array that has none.
void expect_values(const Array& x, const char* where);

// Whether the strides are those of a new array, also where an axis of length 1 has one.
inline bool in_order(const View& v) {
  int64_t want = 1;
  for (int i = v.ndim - 1; i >= 0; --i) {
    if (v.strides[i] != want) return false;
    want *= v.shape[i] > 1 ? v.shape[i] : 1;
  }
  return true;
}
// Whether elements fill memory without gaps or overlaps, in whatever order of axes.
bool is_dense(const View& x);
// Gives a new array the order of axes that its operands, broadcast to its shape, ask for; called
// when one of them is not `in_order`. `same`: all of them had that shape before.
void follow_strides(const View* const* operands, int n, bool same, View& out);
// A new array in the order of x's axes: torch's preserve_format.
Array like(const Array& x, DType dtype, const char* where, Device device);
inline Array like(const Array& x, DType dtype, const char* where) {
  return like(x, dtype, where, x.device());
}

// Runs the kernel (without the GIL when there is enough work) after making writable what its
// signature says it writes; raises on an error.
void run(const Kernel& kernel, const Arg* args, int n);

// Whether kernel calls of this thread go into a plan; values must not be read into Python then.
bool is_recording();

Array contiguous(const Array& x, const char* where);
Array contiguous_copy(const Array& x, const char* where);
void copy_into(Array& out, const Array& x, const char* where);  // same shape; converts the dtype
Array moved(const Array& x, Device device, const char* where);  // itself, or a copy
Array cast(const Array& x, DType dtype, const char* where);

// `x` seen as `shape` with stride 0 on the axes that are repeated; raises ShapeError when it does
// not fit.
View broadcast_view(const View& x, const int64_t* shape, int ndim, const char* where);
// The array, on a copy where it borrows read-only memory that its dtype cannot lie in; raises where
// that memory is writable.
Array aligned(Array x, const char* where);
// A 0-d array holding a Python number. `strict`: ArgumentError for one outside the dtype's range,
// which else wraps.
Array scalar(nb::handle number, DType dtype, const char* where, bool strict = false);
double real_of(nb::handle number, const char* where);
int64_t integer_of(nb::handle number, DType dtype, bool strict, const char* where);
int64_t size_of(nb::handle h,
                const char* where);  // of an axis; ShapeError when it has more than 63 bits

using ArrayClass = nb::class_<Array>;
void bind_array(nb::module_& m);
nb::object size_from(const int64_t* lengths, int n);  // the lengths of axes as tallow._native.Size
void bind_size(nb::module_& m);
void bind_views(ArrayClass& c);
void bind_indexing(ArrayClass& c);
void bind_join(ArrayClass& c);
void bind_exchange(ArrayClass& c);
extern PyType_Slot kBufferSlots[];
void bind_elementwise(nb::module_& m);
void bind_scan(nb::module_& m);

}  // namespace tl::bind
