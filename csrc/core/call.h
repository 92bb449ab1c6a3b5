// Kernel calls on arrays: allocation, the call itself, and the conversions that every caller needs.
// What fails gives an array that is not ok(), or false, and says why in `error`.
#pragma once
#include "device.h"
#include "promote.h"

namespace tl {

// What the process around the core has to say to its calls; a plain C program has nothing.
struct Host {
  // Before a watched storage is written; false: it must not be, and the host keeps the reason.
  bool (*before_write)(Storage*) = nullptr;
  // Makes a call that takes long; may let go of a lock meanwhile.
  const char* (*run_long)(const Kernel&, const Arg*, int, const char* op) = nullptr;
};
inline Host host;

// A new array, elements not set.
Array new_array(DType dtype, const int64_t* shape, int ndim, Device device, const char* where,
                Error& error);
// The same in the order of x's axes: torch's preserve_format.
Array new_like(const Array& x, DType dtype, Device device, const char* where, Error& error);

// Refuses to read elements of an array that has none, or whose memory is not the host's.
bool expect_values(const Array& x, const char* where, Error& error);
bool refuse_mixed(const char* where, Device a, Device b, Error& error);  // always false
// A copy on the device, in the order of x's axes; the array itself when it is there.
Array moved(const Array& x, Device device, const char* where, Error& error);

// Sees to what guards a storage that is about to be written; false: it must not be. `replayed`: by
// a plan, which was captured in the mode that the write needs.
bool allow_write(const Array& x, const char* where, Error& error, bool replayed = false);

// Null, or how number and kinds of the arguments differ from the signature.
const char* check_call(const Kernel& kernel, const Arg* args, int n);
// Makes the outputs writable and runs the kernel, or what the device of the arguments has under its
// name, if that computes; goes into the plan that is being recorded, if any. Every array argument
// points to an Array.
bool run(const Kernel& kernel, const Arg* args, int n, Error& error, const char* where = nullptr);
// The same, for a call that nobody has checked. `where` names the op in errors; null: the kernel.
bool run_checked(const Kernel& kernel, const Arg* args, int n, Error& error,
                 const char* where = nullptr);

// Of one shape; converts the dtype: plain ones, and to and from blocks.
bool copy_into(Array& out, const Array& x, const char* where, Error& error);
Array cast(const Array& x, DType dtype, const char* where, Error& error);
Array contiguous_copy(const Array& x, const char* where, Error& error);
Array contiguous(const Array& x, const char* where, Error& error);

// `x` seen as `shape`, with stride 0 on the axes that are repeated.
bool broadcast_view(const View& x, const int64_t* shape, int ndim, const char* where, View& out,
                    Error& error);
// Writes `source`, broadcast, into `x`; they may overlap.
bool assign(Array& x, const Array& source, const char* where, Error& error);
// The same for an array that was made just now, from one element; of block dtypes a zero, in f32.
bool zero_blocks(Array& x, double value, const char* where, Error& error);
bool fill_new(Array& x, const Array& one, const char* where, Error& error);

// The array, on a copy where it borrows read-only memory that its dtype cannot lie in; not ok()
// where that memory is writable.
Array aligned(Array x, const char* where, Error& error);

// Whether a plain integer dtype (or bool, which takes every number) has room for the value.
bool holds(DType dtype, int64_t value);
// The number as bits of an integer dtype; floats lose their fraction. `strict`: one outside the
// dtype's range is refused, else it wraps, as torch does for numbers beside tensors.
bool integer_of(const Number& number, DType dtype, bool strict, const char* where, int64_t& out,
                Error& error);
// A 0-d array of a number.
Array scalar(const Number& number, DType dtype, bool strict, const char* where, Error& error);

}  // namespace tl
