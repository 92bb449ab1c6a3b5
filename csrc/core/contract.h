// Reductions, softmax and matrix products: what their results are, by shapes and dtypes alone, and
// how they are computed. Python's ops and tallow.h both come here.
#pragma once
#include "views.h"

namespace tl {

// An argument of a structured op.
struct StructuredArg {
  const Array* array = nullptr;  // 'a'
  IntList axes = {nullptr, 0};   // 'I', and 'i' of at most one; none: all
  bool truth = false;            // 'b'
  int dtype = -1;                // 'd'; -1: not given
};

// An op in two steps, as PyTorch's structured kernels: the result's shape and dtype, then the
// elements. The first refuses arguments and is all that a device without memory needs.
struct StructuredOp {
  const char* name;   // of the kernel, too
  const char* kinds;  // of the arguments in order, a letter each
  // Sets dtype and shape of `out`; false with an error.
  bool (*shape)(const StructuredOp& op, const StructuredArg* args, const char* where, View& out,
                Error& error);
  // Fills `out`, which is as `shape` says.
  bool (*fill)(const StructuredOp& op, const StructuredArg* args, const char* where, Array& out,
               Error& error);
  // Of reductions: the dtype of the result, whether there is one of no elements, and whether one of
  // complex numbers is that of their parts.
  enum Result : uint8_t { same, widened, floating, truth, index } result = same;
  bool of_nothing = true, by_parts = false;
};
const StructuredOp* find_structured(const char* name);

// "sum", "mean", "prod", "amax", "amin", "any", "all", "argmax" or "argmin" over the axes; no axes:
// over all of them. As in torch sums and products of integers are i64, means are of floats.
Array reduce(const char* name, const Array& x, IntList axes, bool keepdim, Error& error);

// (…, m, k) x (…, k, n) of promoted operands, leading axes broadcast; of one axis they are vectors.
Array matmul(const Array& a, const Array& b, Error& error);

}  // namespace tl
