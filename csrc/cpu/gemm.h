// Float and double matrix products on packed panels: the micro-kernel, the packing, and the walk
// over tiles. A (rows) is packed in panels of 6 rows, B (columns) in panels of two vectors; the 12
// accumulators stay in registers.
#pragma once
#include "../core/alloc.h"
#include "../core/parallel.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

// The arithmetic types of the micro-kernel: vectors of float and double of the same width.
template <class T>
struct Vec;
template <>
struct Vec<float> {
  typedef vf type;
};
template <>
struct Vec<double> {
  typedef vd type;
};

inline constexpr int kPanelRows = 6;
template <class T>
inline constexpr int kVec = 4 * kLanes / sizeof(T);
template <class T>
inline constexpr int kPanelColumns = 2 * kVec<T>;
// Depth of a step: 16 columns × 256 floats take 16 KB of the 32 KB L1, the 6 rows that pass by
// another 6 KB. A multiple of every block length.
inline constexpr int64_t kDepth = 256;
// Rows that share one packed B panel: its packing (about 1 operation per element) is then 3% of the
// multiplications, and 240 × 256 floats of A stay in L2.
inline constexpr int64_t kChunkRows = 240;

// c (6 × columns, contiguous) = or += a (k × 6) · b (k × columns).
template <class T>
TL_INLINE void gemm_micro(int64_t k, const T* a, const T* b, T* c, bool add) {
  typedef typename Vec<T>::type V;
  typedef V VU __attribute__((aligned(sizeof(T)), may_alias));
  constexpr int kV = kVec<T>;
  V acc[kPanelRows][2] = {};
  for (int64_t p = 0; p < k; ++p, a += kPanelRows, b += 2 * kV) {
    V b0 = *reinterpret_cast<const VU*>(b), b1 = *reinterpret_cast<const VU*>(b + kV);
#pragma GCC unroll 6
    for (int i = 0; i < kPanelRows; ++i) {
      V x = a[i] - V{};  // a broadcast; 0 + a would be an addition, for the sake of -0
      acc[i][0] = fma(x, b0, acc[i][0]);
      acc[i][1] = fma(x, b1, acc[i][1]);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kPanelRows; ++i) {
    VU* to = reinterpret_cast<VU*>(c + i * 2 * kV);
    VU* to1 = reinterpret_cast<VU*>(c + i * 2 * kV + kV);
    if (add) {
      *to += acc[i][0];
      *to1 += acc[i][1];
    } else {
      *to = acc[i][0];
      *to1 = acc[i][1];
    }
  }
}

template <class To, class From>
TL_INLINE To widen(From x) {
  if constexpr (__is_class(From))  // f16, bf16 and the 8-bit floats
    return to_float(x);
  else
    return static_cast<To>(x);
}

// Packs `lines` rows (or columns) of a matrix into a panel of `width` lines, the missing ones zero:
// to[p·width + i] = from[i·line_stride + p·step].
template <int kWidth, class T, class From>
inline void pack_panel(const From* from, int64_t line_stride, int64_t step, int lines, int64_t k,
                       T* to) {
  int64_t p = 0;
  // Lines contiguous along k: transpose 8 × 8. A panel of 6 is stored 8 wide, each store
  // overwriting the two surplus elements of the one before; the last one must not touch the next
  // panel, which may be another thread's.
  if constexpr (__is_same(T, float) && sizeof(From) <= 4 && (kWidth == 6 || kWidth % 8 == 0)) {
    if (step == 1) {
      for (; p + 8 <= k; p += 8) {
        for (int i = 0; i < kWidth; i += 8) {
          f32x8 r[8];
          for (int j = 0; j < 8; ++j)
            r[j] = i + j < lines ? load_floats<f32x8>(from + (i + j) * line_stride + p) : f32x8{};
          transpose(r);
          for (int j = 0; j < 7; ++j) store_at(to + (p + j) * kWidth + i, r[j]);
          memcpy(to + (p + 7) * kWidth + i, &r[7], (kWidth == 6 ? 6 : 8) * sizeof(float));
        }
      }
    } else if (line_stride == 1 && lines == kWidth && kWidth % kLanes == 0) {
      for (; p < k; ++p) {
        for (int i = 0; i < kWidth; i += kLanes)
          store(to + p * kWidth + i, load(from + p * step + i));
      }
    }
  }
  for (; p < k; ++p) {
    for (int i = 0; i < kWidth; ++i) {
      to[p * kWidth + i] = i < lines ? widen<T>(from[i * line_stride + p * step]) : T(0);
    }
  }
}

TL_INLINE constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
TL_INLINE int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
TL_INLINE int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

// Elements of A packed for `rows` rows: panel after panel of k × 6.
TL_INLINE int64_t packed_rows_size(int64_t rows, int64_t k) {
  return ceil_div(rows, kPanelRows) * kPanelRows * k;
}

// Rows of a chunk are a multiple of 6, about the same for all chunks, and few enough that every
// thread gets several tiles.
inline int64_t chunk_rows(int64_t m, int64_t column_panels) {
  int64_t wanted = 4 * num_threads(), rows = m <= kChunkRows * 5 / 4 ? max64(m, 1) : kChunkRows;
  while (rows > 48 && ceil_div(m, rows) * column_panels < wanted) rows /= 2;
  rows = ceil_div(m, max64(1, ceil_div(m, rows)));
  return ceil_div(max64(rows, 1), kPanelRows) * kPanelRows;
}

template <class T>
inline size_t gemm_scratch(int64_t rows, int64_t k) {
  return (rows * kPanelColumns<T> + min64(k, kDepth) * kPanelColumns<T> + 32) * sizeof(T);
}

// One tile: `rows` rows of packed A times one column panel. pack(k0, depth, to) writes the B panel;
// the tile of rows × kPanelColumns results is left at the start of `scratch` (see gemm_scratch).
template <class T, class Pack>
inline T* gemm_tile(const T* a, int64_t rows, int64_t k, T* scratch, const Pack& pack) {
  constexpr int kN = kPanelColumns<T>;
  T *c = scratch, *b = scratch + ceil_div(rows, kPanelRows) * kPanelRows * kN;
  for (int64_t k0 = 0; k0 < k; k0 += kDepth) {
    int64_t depth = min64(kDepth, k - k0);
    pack(k0, depth, b);
    for (int64_t r = 0; r < rows; r += kPanelRows)
      gemm_micro<T>(depth, a + r * k + k0 * kPanelRows, b, c + r * kN, k0 > 0);
  }
  if (k == 0) {
    for (int64_t i = 0; i < rows * kN; ++i) c[i] = 0;
  }
  return c;
}

}  // namespace tl::TL_ISA
