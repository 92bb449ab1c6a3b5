// The kernels of each weight dtype, and the plain floats beside them.
#pragma once
#include "../core/array.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

struct Linear;

// What a dtype of weights that are not plain floats can do.
struct BlockKernels {
  // Whole blocks as floats, bit-equal to the reference of the format.
  void (*unpack)(const uint8_t* blocks, int64_t count, float* out) = nullptr;
  // `linear` with activations rounded to int8; absent where weights are no small integers.
  const char* (*linear_int8)(const Linear&) = nullptr;
};

// nullptr for dtypes that are no block format.
const BlockKernels* block_kernels(DType dtype);

// The plain dtypes that activations, results and weights come in: f(T{}).
template <class F>
TL_INLINE bool with_float(DType dtype, F f) {
  switch (dtype) {
    case DType::f32:
      return f(float{}), true;
    case DType::f16:
      return f(f16{}), true;
    case DType::bf16:
      return f(bf16{}), true;
    default:
      return false;
  }
}

}  // namespace tl::TL_ISA
