// What is known of the elementwise ops: the rows of ops/elementwise.def as data.
#pragma once
#include "promote.h"

namespace tl {

// What dtypes an op computes in, and which the result has.
enum class ElementwiseClass : uint8_t {
  number,    // any; the same
  floating,  // floats, into which integers are converted; the same
  power,     // as number; of integers no negative exponents
  bitwise,   // integers and bool; the same
  integer,   // integers; the same
  compare,   // any; bool
  test,      // any; bool
  choice,    // any, after a mask of bool; the same
};

enum ElementwiseFacts : uint8_t { kNoBools = 1, kCountsBools = 2, kComplex = 4, kMagnitude = 8 };

struct ElementwiseOp {
  const char* name;  // of the kernel, too
  int8_t operands;   // arrays or numbers
  int8_t constants;  // reals after them
  ElementwiseClass type;
  uint8_t facts;

  // The dtype that the kernel computes in, of operands that meet in `common`.
  bool settle(DType common, DType& dtype, Error& error) const;
  DType result(DType dtype) const;
};

const ElementwiseOp* find_elementwise(const char* name);

}  // namespace tl
