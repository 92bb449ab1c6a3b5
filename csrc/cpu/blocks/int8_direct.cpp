// The kernels of each format that unpack in registers: common ones for all rows of activations.
#include "fp8.h"
#include "int8_rows.h"
#include "iq1.h"
#include "iq23.h"
#include "kquants.h"
#include "lookup.h"
#include "simple.h"
#include "ternary.h"

namespace tl::TL_ISA {
namespace {

template <class F>
RowsKernel kernel_of([[maybe_unused]] DType dtype, [[maybe_unused]] int64_t rows) {
  if constexpr ((requires { F::half; } || requires { F::row; }) && !kSmall) {
    if constexpr (F::kCommon) {
      return rows == 1 ? direct_rows<F, 1> : rows == 2 ? direct_rows<F, 2> : direct_rows<F, 0>;
    }
#ifdef TL_BELOW  // AVX-512 takes AVX2's, which give the same bits and need no unpacking
    if (kLanes > 8 && rows == 1) return TL_BELOW::direct_kernel(dtype, 1);
#else
    if (rows == 1) return direct_rows<F, 1>;
#endif
  }
  return nullptr;
}

}  // namespace

RowsKernel direct_kernel(DType dtype, int64_t rows) {
  switch (dtype) {
#define BLOCK(family, dtype, Struct) \
  case DType::dtype:                 \
    return kernel_of<Struct>(DType::dtype, rows);
#include "../../ops/blocks.def"
#undef BLOCK
    default:
      return nullptr;
  }
}

}  // namespace tl::TL_ISA
