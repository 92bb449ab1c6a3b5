// Keys and values of a tile as rows of plain floats: where they are, or unpacked.
#pragma once
#include "attention_problem.h"
#include "attention_tile.h"
#include "quant_blocks.h"

namespace tl::TL_ISA {

// The keys or values of a tile: rows of plain floats.
struct Rows {
  const std::byte* data;
  DType dtype;
  int64_t row, step;  // from one to the next, and between the elements of one
  template <class T>
  TL_INLINE const T* ptr() const {
    return reinterpret_cast<const T*>(data);
  }
};

// Blocks of q8_0 as floats.
TL_INLINE void widen_q8_0(const uint8_t* b, int64_t blocks, float* to) {
  for (int64_t i = 0; i < blocks; ++i, b += bytes_of(DType::q8_0)) {
    f16 scale;
    memcpy(&scale, b, sizeof scale);
    const f32x8 d = to_float(scale) - f32x8{};
    __builtin_prefetch(b + blocks * kKeys * bytes_of(DType::q8_0), 0, 2);  // as prefetch_rows
    for (int j = 0; j < 32; j += 8, to += 8) {
      uint64_t q;
      memcpy(&q, b + 2 + j, sizeof q);
      store_at(to, d * __builtin_convertvector(signed8(q), f32x8));
    }
  }
}

// Where they are; of blocks as floats in `wide`, which is as precise as they are.
inline Rows rows_of(const View& x, const AttentionUnit& u, int64_t tile, int64_t keys,
                    float* wide) {
  const int64_t at = u.bi * x.strides[0] + u.kv * x.strides[1] + tile * x.strides[2];
  const int block = block_of(x.dtype), bytes = bytes_of(x.dtype);
  const std::byte* from = x.data + at / block * bytes;
  if (block == 1) return {from, x.dtype, x.strides[2], x.strides[3]};
  const int64_t n = x.shape[3], apart = x.strides[2] / block * bytes;
  for (int64_t j = 0; j < keys; ++j, from += apart)
    widen_q8_0(reinterpret_cast<const uint8_t*>(from), n / block, wide + j * n);
  return {reinterpret_cast<const std::byte*>(wide), DType::f32, n, 1};
}

// Memory gives a thread more when it is told what comes next: the same rows of the next tile.
template <class T>
TL_INLINE void prefetch_rows(const T* x, int64_t row, int64_t n, int64_t rows) {
  if (row == n) n *= rows, rows = 1;
  for (int64_t j = 0; j < rows; ++j, x += row) {
    for (int64_t i = 0; i < n; i += 64 / static_cast<int>(sizeof(T)))
      __builtin_prefetch(x + i, 0, 2);
  }
}

}  // namespace tl::TL_ISA
