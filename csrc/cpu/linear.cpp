// The kernel "linear": checks its operands and picks float or int8 activations.
#include "../core/interleaved.h"
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

// Whether the operands fit, and m, n and k.
const char* check(Linear& l) {
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
  return nullptr;
}

const char* check_plain(const Linear& l) {
  auto plain = [](DType d) { return d == DType::f32 || d == DType::f16 || d == DType::bf16; };
  if (!plain(l.x.dtype) || !plain(l.out.dtype)) return "linear: x and out must be f32, f16 or bf16";
  if (l.has_bias && !plain(l.bias.dtype)) return "linear: bias must be f32, f16 or bf16";
  return nullptr;
}

// The format by which x is rounded to int8; null: it is not.
const BlockFormat* rounding(const Linear& l, bool exact) {
  const BlockFormat* format = block_format(l.weight.dtype);
  return !exact && l.k > 0 && format && format->values ? format : nullptr;
}

const char* compute(Linear& l, bool exact) {
  if (l.m == 0 || l.n == 0) return nullptr;
  if (l.x.dtype == DType::f64 && l.weight.dtype == DType::f64 && l.out.dtype == DType::f64)
    return linear_double(l);
  if (const char* error = check_plain(l)) return error;
  if (const BlockFormat* format = rounding(l, exact)) {
    if (l.x.back_stride(1) != 1) return "linear: x must be contiguous along its last axis";
    const InterleavedReader reader;
    l.eights = reader(l.weight);
    return linear_int8(l, *format);
  }
  return linear_float(l);
}

// Whether one kernel serves all weights.
bool is_shared(const LinearSeveral& products, bool exact) {
  const Linear& first = products.each[0];
  bool shared = first.m > 0 && (!rounding(first, exact) || first.x.back_stride(1) == 1);
  for (int i = 0; i < products.count; ++i) {
    const Linear& l = products.each[i];
    shared &= l.n > 0 && l.weight.dtype == first.weight.dtype && !check_plain(l);
  }
  return shared;
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

void share_rows(const LinearSeveral& products, size_t row_bytes, WeightRowsFn fn,
                const void* context) {
  int64_t first[LinearSeveral::kMost + 1] = {};  // of each weight among the rows of all
  for (int i = 0; i < products.count; ++i)
    first[i + 1] = first[i] + (products.each[i].n + 15) / 16 * 16;
  const int64_t all = first[products.count];
  parallel_for(all, decode_grain(all, row_bytes), [&](int64_t begin, int64_t end, int) {
    for (int i = 0; i < products.count; ++i) {
      const Linear& l = products.each[i];
      const int64_t from = max64(begin - first[i], 0), to = min64(end - first[i], l.n);
      if (from < to) fn(context, l, from, to);
    }
  });
}

const char* linear(const Arg* args, int);
const char* linear(const Arg* args, int) {
  Linear l;
  take(l, args);
  const char* error = check(l);
  return error ? error : compute(l, args[4].i != 0);
}

const char* linear_act(const Arg* args, int);
const char* linear_act(const Arg* args, int) {
  Linear l;
  take(l, args);
  l.has_residual = args[4].kind == Arg::array;
  if (l.has_residual) l.residual = *args[4].a;
  l.act = line_function(args[5].i);
  if (!l.act && args[5].i != 0) return "linear_act: no such activation";
  const char* error = check(l);
  return error ? error : compute(l, args[6].i != 0);
}

const char* linear_several(const Arg* args, int);
const char* linear_several(const Arg* args, int) {
  constexpr int kMost = LinearSeveral::kMost, kX = kMost, kWeight = kX + 1, kBias = kWeight + kMost;
  const bool exact = args[kBias + kMost].i != 0;
  Linear l[kMost];
  const int count = args[kMost - 1].kind == Arg::array ? kMost : kMost - 1;
  for (int i = 0; i < count; ++i) {
    const Arg own[] = {args[i], args[kX], args[kWeight + i], args[kBias + i]};
    if (own[2].kind != Arg::array) return "linear_several: expected a weight to each result";
    take(l[i], own);
    if (const char* error = check(l[i])) return error;
  }
  const LinearSeveral products{l, count};
  if (is_shared(products, exact)) {
    const BlockFormat* format = rounding(l[0], exact);
    const InterleavedReader reader;
    for (int i = 0; format && i < count; ++i) l[i].eights = reader(l[i].weight);
    return format ? linear_int8_several(products, *format) : linear_float_several(products);
  }
  const char* error = nullptr;
  for (int i = 0; !error && i < count; ++i) error = compute(l[i], exact);
  return error;
}

}  // namespace tl::TL_ISA
