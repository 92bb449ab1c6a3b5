// What the two ways of `linear` (float and int8 activations) share: the checked operands and the
// writing of results.
#pragma once
#include "../core/kernel.h"
#include "gemm.h"
#include "quant_blocks.h"

namespace tl::TL_ISA {

// out (m, n) = x (m, k) · weight (n, k)ᵀ + bias (n). Row strides are in elements.
struct Linear {
  View x, weight, bias, out;
  bool has_bias = false;
  int64_t m = 0, n = 0, k = 0;

  TL_INLINE const uint8_t* weight_row(int64_t row) const {
    int block = block_of(weight.dtype), bytes = bytes_of(weight.dtype);
    return weight.ptr<const uint8_t>() + row * (weight.back_stride(2) / block) * bytes;
  }
  template <class T>
  TL_INLINE const T* x_row(int64_t row) const {
    return x.ptr<const T>() + row * x.back_stride(2);
  }
};

// Up to this many rows, dot products straight from the file's bytes; above, weights are unpacked
// once for all rows.
inline constexpr int64_t kDotRows = 4;

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

// out[row0 + r][column0 + c] = tile[r·tile_stride + c] + bias
template <class T>
inline void write_rows(const Linear& l, int64_t row0, int64_t rows, int64_t column0, int columns,
                       const float* tile, int64_t tile_stride) {
  float bias[16] = {};
  if (l.has_bias) {
    for (int c = 0; c < columns; ++c) bias[c] = bias_at(l, column0 + c);
  }
  int64_t step = l.out.back_stride(1);
  T* out = l.out.ptr<T>() + row0 * l.out.back_stride(2) + column0 * step;
  for (int64_t r = 0; r < rows; ++r, out += l.out.back_stride(2), tile += tile_stride) {
    int c = 0;
    if (step == 1) {
      for (; c + kLanes <= columns; c += kLanes) store(out + c, load(tile + c) + load(bias + c));
    }
    for (; c < columns; ++c) out[c * step] = from_float<T>(tile[c] + bias[c]);
  }
}

inline void write_tile(const Linear& l, int64_t row0, int64_t rows, int64_t column0, int columns,
                       const float* tile, int64_t tile_stride) {
  with_float(l.out.dtype, [&]<class T>(T) {
    write_rows<T>(l, row0, rows, column0, columns, tile, tile_stride);
  });
}

const char* linear_float(const Linear& l);
const char* matmul(const View& out, const View& a, const View& b);

}  // namespace tl::TL_ISA
