// Calls of elementwise ops: promotion, broadcasting, allocation and the kernel in one step, because
// they are the ops whose cost is mostly the call.
#pragma once
#include "call.h"
#include "elementwise_op.h"

namespace tl {

// An array, or a number where it is null.
struct Operand {
  const Array* array = nullptr;
  Number number;
};

// A new array in the order of axes that torch gives it; not ok() when it fails. `operands` and
// `constants` are as many as the op has.
Array elementwise(const ElementwiseOp& op, const Kernel& kernel, const Operand* operands,
                  const double* constants, Error& error);

// The in-place form: `target` has the result's shape, and a dtype that can hold it.
bool elementwise_into(Array& target, const ElementwiseOp& op, const Kernel& kernel,
                      const Operand* operands, const double* constants, Error& error);

// The dtype in which operands meet; refuses blocks.
bool result_type(const Operand* operands, int n, const char* where, DType& dtype, Error& error);

}  // namespace tl
