// `linear` with activations rounded to int8 blocks of 32: what its files know of each other.
#pragma once
#include "../gemm_linear.h"

namespace tl::TL_ISA {

// More than kDotRows rows.
const char* int8_many_rows(const Linear& l, const BlockFormat& format);

}  // namespace tl::TL_ISA
