// The kernel "linear": checks its operands and picks float or int8 activations.
#include "gemm_linear.h"

namespace tl::TL_ISA {

namespace {

// double takes the general product; it serves gradient checks, not speed.
const char* linear_double(const Linear& l) {
  View transposed = l.weight;
  transposed.shape[0] = l.k;
  transposed.shape[1] = l.n;
  transposed.strides[0] = l.weight.strides[1];
  transposed.strides[1] = l.weight.strides[0];
  if (const char* error = matmul(l.out, l.x, transposed)) return error;
  for (int64_t i = 0; l.has_bias && i < l.m; ++i) {
    double* row = l.out.ptr<double>() + i * l.out.back_stride(2);
    for (int64_t j = 0; j < l.n; ++j) {
      bool wide = l.bias.dtype == DType::f64;
      row[j * l.out.back_stride(1)] +=
          wide ? l.bias.ptr<const double>()[j * l.bias.back_stride(1)] : bias_at(l, j);
    }
  }
  return nullptr;
}

// x and out may have leading axes when those can be walked as one axis of rows.
bool as_matrix(View& v) {
  if (v.ndim == 0) return false;
  if (v.ndim == 1) {
    v.shape[1] = v.shape[0];
    v.strides[1] = v.strides[0];
    v.shape[0] = 1;
    v.strides[0] = v.shape[1];
    v.ndim = 2;
  }
  while (v.ndim > 2) {
    int last = v.ndim - 2, before = v.ndim - 3;
    bool joined = v.shape[last] == 1 || v.shape[before] == 1 ||
                  v.strides[before] == v.strides[last] * v.shape[last];
    if (!joined && v.size() > 0) return false;
    if (v.shape[last] == 1) v.strides[last] = v.strides[before];
    v.shape[before] *= v.shape[last];
    v.strides[before] = v.strides[last];
    v.shape[last] = v.shape[last + 1];
    v.strides[last] = v.strides[last + 1];
    --v.ndim;
  }
  return true;
}

const char* linear_checked(Linear& l, bool exact) {
  if (l.weight.ndim != 2) return "linear: the weight must have two axes";
  if (!as_matrix(l.x) || !as_matrix(l.out) || (l.has_residual && !as_matrix(l.residual)))
    return "linear: the leading axes of x, out or the residual cannot be walked as one";
  l.m = l.x.shape[0];
  l.n = l.weight.shape[0];
  l.k = l.weight.shape[1];
  if (l.x.shape[1] != l.k || l.out.shape[0] != l.m || l.out.shape[1] != l.n)
    return "linear: shapes do not fit";
  if (l.has_bias && l.bias.size() != l.n) return "linear: bias does not fit";
  if (l.has_residual && (l.residual.shape[0] != l.m || l.residual.shape[1] != l.n))
    return "linear: the residual does not fit";
  if (l.m == 0 || l.n == 0) return nullptr;
  if ((l.act || l.has_residual) && (l.x.dtype != DType::f32 || l.out.dtype != DType::f32 ||
                                    (l.has_residual && l.residual.dtype != DType::f32)))
    return "linear_act: x, out and the residual must be f32";
  if (l.x.dtype == DType::f64 && l.weight.dtype == DType::f64 && l.out.dtype == DType::f64)
    return linear_double(l);
  auto plain = [](DType d) { return d == DType::f32 || d == DType::f16 || d == DType::bf16; };
  if (!plain(l.x.dtype) || !plain(l.out.dtype)) return "linear: x and out must be f32, f16 or bf16";
  if (l.has_bias && !plain(l.bias.dtype)) return "linear: bias must be f32, f16 or bf16";
  const BlockFormat* format = block_format(l.weight.dtype);
  if (!exact && l.k > 0 && format && format->values) {
    if (l.x.back_stride(1) != 1) return "linear: x must be contiguous along its last axis";
    return linear_int8(l, *format);
  }
  return linear_float(l);
}

void take(Linear& l, const Arg* args) {
  l.out = *args[0].a;
  l.x = *args[1].a;
  l.weight = *args[2].a;
  l.has_bias = args[3].kind == Arg::array;
  if (l.has_bias) l.bias = *args[3].a;
  if (l.weight.ndim == 1 && l.out.ndim < kMaxDims) {  // one row, whose axis out does not have
    l.weight.shape[1] = l.weight.shape[0];
    l.weight.strides[1] = l.weight.strides[0];
    l.weight.shape[0] = l.weight.strides[0] = 1;
    l.weight.ndim = 2;
    l.out.shape[l.out.ndim] = l.out.strides[l.out.ndim] = 1;
    ++l.out.ndim;
  }
  if (l.has_bias && l.bias.size() == 1 && l.weight.ndim == 2) {  // one number for all
    l.bias.shape[0] = l.weight.shape[0];
    l.bias.strides[0] = 0;
    l.bias.ndim = 1;
  }
}

}  // namespace

const char* linear(const Arg* args, int);
const char* linear(const Arg* args, int) {
  Linear l;
  take(l, args);
  return linear_checked(l, args[4].i != 0);
}

const char* linear_act(const Arg* args, int);
const char* linear_act(const Arg* args, int) {
  Linear l;
  take(l, args);
  l.has_residual = args[4].kind == Arg::array;
  if (l.has_residual) l.residual = *args[4].a;
  l.act = line_function(args[5].i);
  if (!l.act && args[5].i != 0) return "linear_act: no such activation";
  return linear_checked(l, args[6].i != 0);
}

}  // namespace tl::TL_ISA
