// Makes what kernels know of every format of a group; each group is a file of its own, so that
// they are compiled side by side.
#pragma once
#include "fp8.h"
#include "iq1.h"
#include "iq23.h"
#include "kquants.h"
#include "lookup.h"
#include "simple.h"
#include "ternary.h"
#include "unpack.h"

namespace tl::TL_ISA {

enum class FormatGroup { simple, small, kquants, lookup, iq };

template <FormatGroup kGroup>
void add_formats(BlockFormat* table) {
#define BLOCK(family, dtype, Struct)           \
  if constexpr (FormatGroup::family == kGroup) \
    table[static_cast<int>(DType::dtype)] = format_of<Struct>();
#include "../../ops/blocks.def"
#undef BLOCK
}

}  // namespace tl::TL_ISA
