// Another library's product of matrices, where TALLOW_BLAS names one.
#pragma once

namespace tl {

struct Blas {
  const char* name;
  // cblas_sgemm: order 101 row-major; 111 as it is, 112 transposed.
  void (*sgemm)(int order, int transposes_a, int transposes_b, int m, int n, int k, float alpha,
                const float* a, int a_line, const float* b, int b_line, float beta, float* c,
                int c_line);
  void (*set_threads)(int);  // null: the library has no such function
};

// Loaded at the first call; null: our own kernels compute.
const Blas* external_blas();
// Null, or what is wrong with TALLOW_BLAS.
const char* blas_error();

}  // namespace tl
