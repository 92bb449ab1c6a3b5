// Dtypes by their size, for kernels that only move elements.
#pragma once
#include "../core/dtype.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

// Calls f.operator()<Word>(); null, or that there is no such word.
template <class F>
TL_INLINE const char* for_word(DType dtype, const F& f) {
  if (is_block(dtype)) return "no kernel for this dtype";
  switch (bytes_of(dtype)) {
    case 1:
      f.template operator()<uint8_t>();
      return nullptr;
    case 2:
      f.template operator()<uint16_t>();
      return nullptr;
    case 4:
      f.template operator()<uint32_t>();
      return nullptr;
    default:
      f.template operator()<uint64_t>();
      return nullptr;
  }
}

}  // namespace tl::TL_ISA
