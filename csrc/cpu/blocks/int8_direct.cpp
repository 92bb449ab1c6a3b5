// The kernels of each format for one row of activations.
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
constexpr RowKernel kernel_of() {
#ifdef __OPTIMIZE_SIZE__
  return nullptr;
#else
  if constexpr (requires { F::floats; })
    return nullptr;  // no small integers
  else
    return row_values<F, 1>;
#endif
}

}  // namespace

RowKernel direct_kernel(DType dtype) {
  switch (dtype) {
#define BLOCK(family, dtype, Struct) \
  case DType::dtype:                 \
    return kernel_of<Struct>();
#include "../../ops/blocks.def"
#undef BLOCK
    default:
      return nullptr;
  }
}

}  // namespace tl::TL_ISA
