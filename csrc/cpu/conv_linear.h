// Convolutions with few outputs for each channel, as products of matrices.
#pragma once
#include "conv.h"
#include "gemm_linear.h"

namespace tl::TL_ISA {

// Whether one output for each channel sees the whole image: a product of matrices, of which the
// weight is read once, in its order.
inline bool is_linear(const Conv& v) {
  if (v.groups != 1 || v.out_positions() != 1 || v.out.dtype != DType::f32 || v.transformed)
    return false;
  for (int i = 0; i < 3; ++i) {
    if (v.offset[i] != 0 || v.x.shape[2 + i] != v.weight.shape[2 + i]) return false;
    if (v.dilation[i] != 1 && v.x.shape[2 + i] != 1) return false;
  }
  return v.x.size() > 0 && v.x.contiguous() && v.weight.contiguous() && v.out.contiguous();
}

// The same with few results in all, whatever part of the images they see.
bool few_fit(const Conv& v);
const char* few_results(const Conv& v);

inline View rows_of(const View& x, int64_t rows, int64_t columns) {
  View made = x;
  made.ndim = 2;
  made.shape[0] = rows;
  made.shape[1] = made.strides[0] = columns;
  made.strides[1] = 1;
  return made;
}

inline const char* conv_as_linear(const Conv& v) {
  Linear l;
  l.m = v.batch();
  l.n = v.out.shape[1];
  l.k = v.weight.shape[1] * v.kernel_elements();
  l.x = rows_of(v.x, l.m, l.k);
  l.weight = rows_of(v.weight, l.n, l.k);
  l.out = rows_of(v.out, l.m, l.n);
  l.has_bias = v.has_bias;
  if (v.has_bias) l.bias = v.bias;
  if (const char* error = linear_float(l)) return error;
  if (v.residual || v.clamped)  // -0 leaves all as it is
    write_clamped(v, 0, v.out.size(), v.out.ptr<const float>(), -0.0f);
  activate(v, v.out.ptr<float>(), v.out.size());
  return nullptr;
}

}  // namespace tl::TL_ISA
