// Makes the kernels of every format of a family; each family is a file of its own, so that they are
// compiled side by side.
#pragma once
#include "fp8.h"
#include "int8_linear.h"
#include "iq1.h"
#include "iq23.h"
#include "kquants.h"
#include "lookup.h"
#include "simple.h"
#include "ternary.h"
#include "unpack.h"

namespace tl::TL_ISA {

enum class Family { simple, small, kquants, lookup, iq };

template <class F>
constexpr BlockKernels kernels_of() {
  if constexpr (requires { F::unpack; })
    return {F::unpack, nullptr};
  else
    return {unpack_blocks<F>, linear_int8_of<F>};
}

template <Family kFamily>
void add_kernels(BlockKernels* table) {
#define BLOCK(family, dtype, Struct)       \
  if constexpr (Family::family == kFamily) \
    table[static_cast<int>(DType::dtype)] = kernels_of<Struct>();
#include "../../ops/blocks.def"
#undef BLOCK
}

}  // namespace tl::TL_ISA
