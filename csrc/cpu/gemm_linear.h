// What the two ways of `linear` (float and int8 activations) share: the checked operands and the
// writing of results.
#pragma once
#include "../core/kernel.h"
#include "gemm.h"
#include "quant_blocks.h"

namespace tl {
// A function of a line of floats (elementwise.h's Step).
using LineFn = void (*)(void* out, const void* const* in, int64_t n, const double* numbers);
}  // namespace tl

#ifdef TL_BELOW
namespace tl::TL_BELOW {
LineFn line_function(int64_t act);
}
#endif

namespace tl::TL_ISA {

// By the number of an activation (ops/linalg.py); null for one that is not known.
#ifdef TL_BELOW
using tl::TL_BELOW::line_function;
#else
LineFn line_function(int64_t act);
#endif

// out (m, n) = act(x (m, k) · weight (n, k)ᵀ + bias (n)) + residual (m, n). Row strides are in
// elements; `act` overwrites a line of floats, null for none.
struct Linear {
  View x, weight, bias, out, residual;
  bool has_bias = false, has_residual = false;
  bool near = false;  // weights were used just now: in a cache nothing is gained by asking for them
  LineFn act = nullptr;
  const uint8_t* eights = nullptr;  // the weight with rows interleaved (core/interleaved.h)
  // Where row i of x and of out stands, null: at i. Only int8 activations take rows of x so.
  const int64_t *x_rows = nullptr, *out_rows = nullptr;
  int64_t m = 0, n = 0, k = 0;

  TL_INLINE const uint8_t* weight_row(int64_t row) const {
    int block = block_of(weight.dtype), bytes = bytes_of(weight.dtype);
    return weight.ptr<const uint8_t>() + row * (weight.back_stride(2) / block) * bytes;
  }
  template <class T>
  TL_INLINE const T* x_row(int64_t row) const {
    return x.ptr<const T>() + (x_rows ? x_rows[row] : row) * x.back_stride(2);
  }
};

// Up to this many rows, dot products straight from the file's bytes; above, weights are unpacked
// once for all rows.
inline constexpr int64_t kDotRows = 4;

// Products of the same rows of x with several weights of one dtype and depth.
struct LinearSeveral {
  static constexpr int kMost = 3;
  const Linear* each;
  int count;
};

// Computes the rows [begin, end) of one weight.
using WeightRowsFn = void (*)(const void* context, const Linear& l, int64_t begin, int64_t end);
// Shares the rows of all weights among threads, a multiple of 16 at a time.
void share_rows(const LinearSeveral& products, size_t row_bytes, WeightRowsFn fn,
                const void* context);
// some(linear, begin, end)
template <class F>
TL_INLINE void share_rows(const LinearSeveral& products, size_t row_bytes, const F& some) {
  share_rows(
      products, row_bytes,
      [](const void* context, const Linear& l, int64_t begin, int64_t end) {
        (*static_cast<const F*>(context))(l, begin, end);
      },
      &some);
}

// Bytes that a thread should get at once in decode: enough to hide the hand-out (about 50 ns), few
// enough to balance.
inline int64_t decode_grain(int64_t n, size_t row_bytes) {
  int64_t rows = max64(4, 16384 / max64(1, row_bytes));
  rows = min64(rows, max64(4, n / (2 * num_threads())));
  return (rows + 15) / 16 * 16;
}

TL_INLINE float bias_at(const Linear& l, int64_t i) {
  int64_t at = i * l.bias.back_stride(1);
  switch (l.bias.dtype) {
    case DType::f16:
      return to_float(l.bias.ptr<const f16>()[at]);
    case DType::bf16:
      return to_float(l.bias.ptr<const bf16>()[at]);
    default:
      return l.bias.ptr<const float>()[at];
  }
}

// What becomes of the sums of some neighbouring columns: out = act(sum + bias) + residual.
class Epilogue {
 public:
  static constexpr int kMost = 48;  // columns

  Epilogue(const Linear& l, int64_t column0, int columns);
  // Asks for the places of results, so that stores do not wait for them.
  void fetch(int64_t row0, int64_t rows) const;
  // tile[r · stride + c] is the sum of row `row0` + r; it may be overwritten.
  void rows(int64_t row0, int64_t rows, float* tile, int64_t stride) const;

 private:
  void neighbours(int64_t row0, int64_t rows, float* tile, int64_t stride) const;
  void whole_panel(int64_t row0, int64_t rows, float* tile, int64_t stride) const;
  void activate(int64_t rows, float* tile, int64_t stride) const;
  template <class T, bool kBias>
  void write(int64_t row0, int64_t rows, const float* tile, int64_t stride) const;

  const Linear& l_;
  int64_t column0_;
  int columns_;
  alignas(32) float bias_[kMost] = {};
};

void write_tile(const Linear& l, int64_t row0, int64_t rows, int64_t column0, int columns,
                float* tile, int64_t tile_stride);

const char* linear_float(const Linear& l);
const char* linear_float_several(const LinearSeveral& products);
const char* matmul(const View& out, const View& a, const View& b);

}  // namespace tl::TL_ISA
