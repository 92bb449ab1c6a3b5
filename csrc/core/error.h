// What went wrong, for code without exceptions: a kind, by which a binding picks its own class, and
// the text `where: expected X, got Y`. Functions that can fail take an Error and say by what they
// return whether they did.
#pragma once
#include "view.h"

namespace tl {

enum class ErrorKind : uint8_t {
  none,
  argument,   // a value that nothing can be done with
  shape,      // sizes, axes or strides
  dtype,      // dtypes that do not go together
  no_kernel,  // a dtype that the op has no kernel for
  index,      // an axis or index outside its range
  memory,     // no room
  gradient,   // a write that autograd must refuse
  device,     // arrays of several devices
  host,       // the host's own error, raised by one of its hooks (core/call.h)
  capture,    // what a plan cannot hold (core/plan)
};

struct Error {
  ErrorKind kind = ErrorKind::none;
  char text[2048];  // set when there is a kind

  // Always false, for `return error.set(…)`.
  __attribute__((cold, format(printf, 4, 5))) bool set(ErrorKind kind, const char* where,
                                                       const char* format, ...);
};

// A shape as Python writes it: (2, 3).
struct ShapeText {
  char text[kMaxDims * 22 + 4];
  explicit ShapeText(const View& view) : ShapeText(view.shape, view.ndim) {}
  ShapeText(const int64_t* shape, int ndim);
};

}  // namespace tl
