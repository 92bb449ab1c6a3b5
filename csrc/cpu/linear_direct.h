// Products of float matrices of which one fits the caches: only what does not lie well is packed.
#pragma once
#include <cstdint>

namespace tl::TL_ISA {

// out (m, n) = a (m, k) · b (k, n); strides in elements, columns of out beside each other.
struct Direct {
  int64_t m, n, k;
  const float* a;
  int64_t a_row, a_step;  // along m, along k
  const float* b;
  int64_t b_column, b_step;  // along n, along k
  float* out;
  int64_t out_row;
};

bool takes_direct(const Direct& d);
void multiply_direct(const Direct& d);

}  // namespace tl::TL_ISA
