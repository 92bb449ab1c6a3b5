// Batched matrix products of any strides and any plain dtype: "matmul". Float types run on the
// panels of linear_float.
#include <atomic>
#include <utility>

#include "../core/blas.h"
#include "gemm_linear.h"
#include "linear_direct.h"

namespace tl::TL_ISA {
namespace {

// One (m, k) · (k, n) product; strides in elements.
struct Product {
  int64_t m, n, k;
  int64_t a_row, a_step;     // a: along m, along k
  int64_t b_column, b_step;  // b: along n, along k
  int64_t out_row, out_column;
};

// Batch axes of out, with the strides of all three; axes of length 1 dropped, neighbours joined
// where all strides allow.
struct Batch {
  int ndim = 0;
  int64_t count = 1;
  int64_t shape[kMaxDims], a[kMaxDims], b[kMaxDims], out[kMaxDims];

  bool fits = true;

  Batch(const View& out_, const View& a_, const View& b_) {
    fits = a_.ndim <= out_.ndim && b_.ndim <= out_.ndim;
    auto stride = [](const View& v, int i) {
      return i > v.ndim || v.back(i) == 1 ? 0 : v.back_stride(i);
    };
    for (int i = 3; i <= out_.ndim; ++i) {  // from the innermost outwards
      int64_t length = out_.back(i);
      for (const View* v : {&a_, &b_})
        fits = fits && (i > v->ndim || v->back(i) == 1 || v->back(i) == length);
      count *= length;
      if (length == 1) continue;
      int64_t sa = stride(a_, i), sb = stride(b_, i), so = stride(out_, i);
      if (ndim > 0) {
        int j = ndim - 1;
        if (sa == a[j] * shape[j] && sb == b[j] * shape[j] && so == out[j] * shape[j]) {
          shape[j] *= length;
          continue;
        }
      }
      shape[ndim] = length;
      a[ndim] = sa;
      b[ndim] = sb;
      out[ndim++] = so;
    }
  }
  void offsets(int64_t i, int64_t* ao, int64_t* bo, int64_t* oo) const {
    *ao = *bo = *oo = 0;
    for (int d = 0; d < ndim; ++d) {
      int64_t at = i % shape[d];
      i /= shape[d];
      *ao += at * a[d];
      *bo += at * b[d];
      *oo += at * out[d];
    }
  }
};

View matrix(const View& v, size_t bytes, int64_t offset, int64_t rows, int64_t columns, int64_t row,
            int64_t column) {
  View out;
  out.data = v.data + offset * static_cast<int64_t>(bytes);
  out.dtype = v.dtype;
  out.ndim = 2;
  out.shape[0] = rows;
  out.shape[1] = columns;
  out.strides[0] = row;
  out.strides[1] = column;
  return out;
}

#ifndef TL_HOT
const char* product_double(const Product& p, const double* a, const double* b, double* out) {
  constexpr int kN = kPanelColumns<double>;
  int64_t panels = ceil_div(p.n, kN), chunk = chunk_rows(p.m, panels);
  size_t own = (gemm_scratch<double>(chunk, p.k) + 63) / 64 * 64;
  Scratch packed(packed_rows_size(p.m, p.k) * sizeof(double) + 64), scratch(own * num_threads());
  if (!packed.as<char>() || !scratch.as<char>()) return "matmul: out of memory";
  parallel_for(ceil_div(p.m, kPanelRows), max64(1, 8192 / max64(1, p.k)),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   pack_panel<kPanelRows>(a + i * kPanelRows * p.a_row, p.a_row, p.a_step,
                                          static_cast<int>(min64(kPanelRows, p.m - i * kPanelRows)),
                                          p.k, packed.as<double>() + i * kPanelRows * p.k);
                 }
               });
  parallel_for(panels * ceil_div(p.m, chunk), 1, [&](int64_t begin, int64_t end, int worker) {
    for (int64_t i = begin; i < end; ++i) {
      int64_t row0 = i / panels * chunk, column0 = i % panels * kN, rows = min64(chunk, p.m - row0);
      int columns = static_cast<int>(min64(kN, p.n - column0));
      double* tile = gemm_tile<double>(packed.as<double>() + row0 * p.k, rows, p.k,
                                       reinterpret_cast<double*>(scratch.as<char>() + worker * own),
                                       [&](int64_t k0, int64_t depth, double* to) {
                                         pack_panel<kN>(b + column0 * p.b_column + k0 * p.b_step,
                                                        p.b_column, p.b_step, columns, depth, to);
                                       });
      for (int64_t r = 0; r < rows; ++r) {
        for (int c = 0; c < columns; ++c)
          out[(row0 + r) * p.out_row + (column0 + c) * p.out_column] = tile[r * kN + c];
      }
    }
  });
  return nullptr;
}
#endif

// Integers wrap around, so the sums are taken in the unsigned type of 64 bits.
template <class T>
const char* product_integer(const Product& p, const T* a, const T* b, T* out) {
  parallel_for(p.m, max64(1, 32768 / max64(1, p.n * p.k)), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < p.n; ++j) {
        uint64_t sum = 0;
        for (int64_t q = 0; q < p.k; ++q) {
          sum += static_cast<uint64_t>(a[i * p.a_row + q * p.a_step]) *
                 static_cast<uint64_t>(b[q * p.b_step + j * p.b_column]);
        }
        out[i * p.out_row + j * p.out_column] = static_cast<T>(sum);
      }
    }
  });
  return nullptr;
}

// Runs one(i) for each product: side by side when they are small, otherwise one after the other
// with all threads in each.
template <class F>
const char* each_product(const Batch& batch, const Product& p, const F& one) {
  int64_t work = p.m * p.n * max64(1, p.k);
  if (batch.count > 1 && work < (int64_t{1} << 22)) {
    std::atomic<const char*> error{nullptr};
    parallel_for(batch.count, max64(1, 65536 / max64(1, work)),
                 [&](int64_t begin, int64_t end, int) {
                   for (int64_t i = begin; i < end; ++i) {
                     if (const char* text = one(i)) error.store(text, std::memory_order_relaxed);
                   }
                 });
    return error.load();
  }
  for (int64_t i = 0; i < batch.count; ++i) {
    if (const char* text = one(i)) return text;
  }
  return nullptr;
}

template <class T, class F>
const char* typed(const View& out, const View& a, const View& b, const Batch& batch,
                  const Product& p, const F& product) {
  return each_product(batch, p, [&](int64_t i) {
    int64_t ao, bo, oo;
    batch.offsets(i, &ao, &bo, &oo);
    return product(p, a.ptr<const T>() + ao, b.ptr<const T>() + bo, out.ptr<T>() + oo);
  });
}

const char* floats(const View& out, const View& a, const View& b, const Batch& batch,
                   const Product& p) {
  size_t bytes = bytes_of(out.dtype);
  const Direct direct{p.m,
                      p.n,
                      p.k,
                      a.ptr<const float>(),
                      p.a_row,
                      p.a_step,
                      b.ptr<const float>(),
                      p.b_column,
                      p.b_step,
                      out.ptr<float>(),
                      p.out_row};
  const bool directly =
      out.dtype == DType::f32 && p.out_column == 1 && takes_direct(direct) && !external_blas();
  return each_product(batch, p, [&](int64_t i) -> const char* {
    int64_t ao, bo, oo;
    batch.offsets(i, &ao, &bo, &oo);
    if (directly) {
      Direct one = direct;
      one.a += ao, one.b += bo, one.out += oo;
      multiply_direct(one);
      return nullptr;
    }
    Linear l;
    l.near = true;
    l.m = p.m;
    l.n = p.n;
    l.k = p.k;
    l.x = matrix(a, bytes, ao, p.m, p.k, p.a_row, p.a_step);
    l.weight = matrix(b, bytes, bo, p.n, p.k, p.b_column, p.b_step);
    l.out = matrix(out, bytes, oo, p.m, p.n, p.out_row, p.out_column);
    return linear_float(l);
  });
}

const char* by_dtype(const View& out, const View& a, const View& b, const Batch& batch,
                     const Product& p) {
  switch (out.dtype) {
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      return floats(out, a, b, batch, p);
#ifndef TL_HOT
    case DType::f64:
      return typed<double>(out, a, b, batch, p, product_double);
#endif
    case DType::i8:
      return typed<int8_t>(out, a, b, batch, p, product_integer<int8_t>);
    case DType::u8:
      return typed<uint8_t>(out, a, b, batch, p, product_integer<uint8_t>);
    case DType::i16:
      return typed<int16_t>(out, a, b, batch, p, product_integer<int16_t>);
    case DType::u16:
      return typed<uint16_t>(out, a, b, batch, p, product_integer<uint16_t>);
    case DType::i32:
      return typed<int32_t>(out, a, b, batch, p, product_integer<int32_t>);
    case DType::u32:
      return typed<uint32_t>(out, a, b, batch, p, product_integer<uint32_t>);
    case DType::i64:
      return typed<int64_t>(out, a, b, batch, p, product_integer<int64_t>);
    case DType::u64:
      return typed<uint64_t>(out, a, b, batch, p, product_integer<uint64_t>);
    default:
      return "matmul: no kernel for this dtype";
  }
}

// out = a·b is outᵀ = bᵀ·aᵀ.
void transpose(Product& p) {
  p = {p.n, p.m, p.k, p.b_column, p.b_step, p.a_row, p.a_step, p.out_column, p.out_row};
}

// A batch that shares b is one tall product when its rows follow each other.
void join_rows(Batch& batch, Product& p) {
  while (batch.ndim > 0 && batch.b[0] == 0 && batch.a[0] == p.m * p.a_row &&
         batch.out[0] == p.m * p.out_row) {
    p.m *= batch.shape[0];
    batch.count /= batch.shape[0];
    --batch.ndim;
    for (int d = 0; d < batch.ndim; ++d) {
      batch.shape[d] = batch.shape[d + 1];
      batch.a[d] = batch.a[d + 1];
      batch.b[d] = batch.b[d + 1];
      batch.out[d] = batch.out[d + 1];
    }
  }
}

// A new axis of length 1 before `at`.
bool add_axis(View& v, int at) {
  if (at < 0 || v.ndim + 1 > kMaxDims) return false;
  for (int i = v.ndim++; i > at; --i) {
    v.shape[i] = v.shape[i - 1];
    v.strides[i] = v.strides[i - 1];
  }
  v.shape[at] = 1;
  v.strides[at] = 1;
  return true;
}

}  // namespace

const char* matmul(const View& out_, const View& a_, const View& b_) {
  View out = out_, a = a_, b = b_;
  const bool row = a.ndim == 1, column = b.ndim == 1;  // a vector, whose axis out does not have
  if ((column && (!add_axis(b, 1) || !add_axis(out, out.ndim))) ||
      (row && (!add_axis(a, 0) || !add_axis(out, out.ndim - 1))))
    return "matmul: shapes do not fit";
  if (out.ndim < 2 || a.ndim < 2 || b.ndim < 2) return "matmul: operands must have an axis or more";
  if (a.dtype != out.dtype || b.dtype != out.dtype)
    return "matmul: operands must have the dtype of out";
  Product p{out.back(2),      out.back(1),        a.back(1),
            a.back_stride(2), a.back_stride(1),   b.back_stride(1),
            b.back_stride(2), out.back_stride(2), out.back_stride(1)};
  if (a.back(2) != p.m || b.back(1) != p.n || b.back(2) != p.k) return "matmul: shapes do not fit";
  Batch batch(out, a, b);
  if (!batch.fits) return "matmul: shapes do not fit";
  if (out.size() == 0) return nullptr;
  join_rows(batch, p);
  // The wide side should be the columns, and results are written fastest along a contiguous one.
  bool swap = p.n < 8 ? p.m > p.n : p.out_column != 1 && p.out_row == 1;
  if (swap) {
    transpose(p);
    std::swap(a, b);
    for (int d = 0; d < batch.ndim; ++d) std::swap(batch.a[d], batch.b[d]);
  }
  return by_dtype(out, a, b, batch, p);
}

const char* linear(const Arg* args, int n);  // linear.cpp
const char* linear_act(const Arg* args, int n);
const char* linear_several(const Arg* args, int n);
const char* expert_linear(const Arg* args, int n);  // linear_experts.cpp
const char* expert_outer(const Arg* args, int n);

void register_int8_products(KernelTable& t);
void register_matmul(KernelTable& t);
void register_matmul(KernelTable& t) {
#ifndef TL_INFERENCE
  register_int8_products(t);  // of quantised ONNX models, which are no programs
#endif
  t.add("matmul", "out:out a:in b:in",
        [](const Arg* args, int) { return matmul(*args[0].a, *args[1].a, *args[2].a); });
  t.add("linear", "out:out x:in weight:in bias:in? exact:i", linear);
  t.add("linear_several",
        "out:out second:out third:out? x:in weight:in second_weight:in third_weight:in? bias:in? "
        "second_bias:in? third_bias:in? exact:i",
        linear_several);
  t.add("linear_act", "out:out x:in weight:in bias:in? residual:in? act:i exact:i", linear_act);
  t.add("expert_linear", "out:out x:in weight:in ids:in bias:in? exact:i", expert_linear);
#ifndef TL_INFERENCE
  t.add("expert_outer", "out:out g:in x:in ids:in", expert_outer);
#endif
}

}  // namespace tl::TL_ISA
