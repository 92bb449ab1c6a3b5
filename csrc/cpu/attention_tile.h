// Attention's inner loops: packing of key and value tiles, score and value micro-kernels, the
// online softmax of a row.
#pragma once
#include "norm_rows.h"
#include "simd/math.h"

namespace tl::TL_ISA {

inline constexpr int kMR = 6;           // query rows of a micro-kernel
inline constexpr int kNR = 2 * kLanes;  // keys, or value columns, of a micro-kernel
inline constexpr int kKeys =
    64;  // keys of a tile: its packed K and V stay in the first two cache levels

TL_INLINE int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

// The float at p in every lane.
TL_INLINE vf splat(const float* p) { return splat(*p); }

// 2^t for t <= 0, relative error 2e-7; zero below 2^-125; NaN stays NaN.
TL_INLINE vf exp2_negative(vf t) {
  const vf shifted = t + 12582912.f;  // 1.5 * 2^23: the nearest integer stands in the low bits
  const vf r = t - (shifted - 12582912.f);
  vf p = splat(1.3264727e-3f);  // own minimax fit on [-1/2, 1/2], the constant term held at 1
  p = fma(p, r, splat(9.6715130e-3f));
  p = fma(p, r, splat(5.5507336e-2f));
  p = fma(p, r, splat(2.4022242e-1f));
  p = fma(p, r, splat(6.9314700e-1f));
  p = fma(p, r, splat(1.f));
  const vf y = (vf)((vu)p + ((vu)shifted << 23));
  return select(t < -125.f, vf{}, y);
}

// A finite mask as a base-2 logarithm that is finite, too: beyond 2^126, where the factor log2(e)
// could overflow, it grows slower, so that order and equality stay what they were. Masks of
// finfo.min say "no key is seen more than another", not "none is seen".
TL_INLINE float mask_log2(float x) {
  constexpr float kLog2E = 1.44269504f, kEdge = 0x1p126f;
  const float a = __builtin_fabsf(x);
  const float far = kEdge * kLog2E + (a - kEdge) * 0.5f;
  return a > kEdge && a < __builtin_inff() ? __builtin_copysignf(far, x) : x * kLog2E;
}

TL_INLINE vf mask_log2(vf x) {
  constexpr float kLog2E = 1.44269504f, kEdge = 0x1p126f;
  const vu sign = (vu)x & 0x80000000u;
  const vf a = (vf)((vu)x ^ sign), far = kEdge * kLog2E + (a - kEdge) * 0.5f;
  return select((a > kEdge) & (a < __builtin_inff()), (vf)((vu)far | sign), x * kLog2E);
}

// s[i] += mask_log2(add[i]).
template <class T>
TL_INLINE void add_mask(const T* add, float* s, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(s + i, load(s + i) + mask_log2(load(add + i)));
  for (; i < n; ++i) s[i] += mask_log2(to_float(add[i]));
}

// --- packing
// -------------------------------------------------------------------------------------------------------------

// dst[i] = src[i * stride] * scale as float.
template <class T>
TL_INLINE void widen(const T* src, int64_t stride, float* dst, int64_t n, float scale) {
  int64_t i = 0;
  if (stride == 1) {
    for (; i + kLanes <= n; i += kLanes) store(dst + i, load(src + i) * scale);
  }
  for (; i < n; ++i) dst[i] = to_float(src[i * stride]) * scale;
}

TL_INLINE void transpose_block(const float* src, int64_t ld, float* dst, int64_t dst_ld) {
  if constexpr (kLanes >= 8) {
    for (int row = 0; row < kLanes; row += 8) {
      for (int column = 0; column < kLanes; column += 8) {
        f32x8 r[8];
        for (int i = 0; i < 8; ++i) r[i] = load_as<f32x8>(src + (row + i) * ld + column);
        transpose(r);
        for (int i = 0; i < 8; ++i) store_at(dst + (column + i) * dst_ld + row, r[i]);
      }
    }
  } else {
    for (int i = 0; i < kLanes; ++i) {
      for (int j = 0; j < kLanes; ++j) dst[j * dst_ld + i] = src[i * ld + j];
    }
  }
}

// `keys` rows of d → panels [key / kNR][d][kNR]; missing keys of the last panel are zero. `line`
// holds kLanes rows of d.
template <class T>
inline void pack_keys(const T* k, int64_t row, int64_t stride, int64_t keys, int64_t d, float* to,
                      float* line) {
  const int64_t ld = round_up(d, kLanes);
  for (int64_t j = 0; j < round_up(keys, kNR); j += kLanes) {
    const float* from = line;
    int64_t apart = ld;
    if (__is_same(T, float) && stride == 1 && j + kLanes <= keys) {
      from = reinterpret_cast<const float*>(k + j * row);
      apart = row;
    } else {
      for (int i = 0; i < kLanes; ++i) {
        if (j + i < keys)
          widen(k + (j + i) * row, stride, line + i * ld, d, 1.f);
        else
          memset(line + i * ld, 0, d * sizeof(float));
      }
    }
    float* panel = to + j / kNR * kNR * d + j % kNR;
    int64_t c = 0;
    for (; c + kLanes <= d; c += kLanes) transpose_block(from + c, apart, panel + c * kNR, kNR);
    for (; c < d; ++c) {
      for (int i = 0; i < kLanes; ++i) panel[c * kNR + i] = from[i * apart + c];
    }
  }
}

// `keys` rows of dv → panels [dv / kNR][kKeys][kNR]; columns beyond dv are zero.
template <class T>
inline void pack_values(const T* v, int64_t row, int64_t stride, int64_t keys, int64_t dv,
                        float* to) {
  for (int64_t c = 0; c < dv; c += kNR) {
    float* panel = to + c * kKeys;
    const int64_t width = dv - c < kNR ? dv - c : kNR;
    for (int64_t j = 0; j < keys; ++j) {
      widen(v + j * row + c * stride, stride, panel + j * kNR, width, 1.f);
      for (int64_t i = width; i < kNR; ++i) panel[j * kNR + i] = 0;
    }
  }
}

// Rows as floats with the row length rounded up to whole vectors, for values that cannot be read in
// place.
template <class T>
inline void widen_rows(const T* x, int64_t row, int64_t stride, int64_t rows, int64_t n, float* to,
                       int64_t ld) {
  for (int64_t j = 0; j < rows; ++j) {
    widen(x + j * row, stride, to + j * ld, n, 1.f);
    for (int64_t i = n; i < ld; ++i) to[j * ld + i] = 0;
  }
}

// --- packed micro-kernels (many query rows)
// ------------------------------------------------------------------------------

// s[r][j] = q[r] · key j for R rows and one panel of kNR keys: lane l of a vector sums the elements
// l, l + kLanes, … of d in order, and the lanes are added one after the other (of sixteen first l
// and l + 8), which is how few rows are best multiplied with keys where they are.
inline constexpr int kSums = kLanes < 8 ? kLanes : 8;
template <int R>
TL_INLINE void score_panel(const float* q, int64_t ldq, const float* panel, int64_t d, float* s) {
  vf total[R][2] = {};
  for (int64_t lane = 0; lane < kSums && lane < d; ++lane) {
    vf acc[R][2] = {};
    for (int64_t first = lane; first < kLanes; first += kSums) {
      vf part[R][2] = {};
      for (int64_t c = first; c < d; c += kLanes) {
        const vf k0 = load(panel + c * kNR), k1 = load(panel + c * kNR + kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const vf x = splat(q + r * ldq + c);
          part[r][0] = fma(x, k0, part[r][0]);
          part[r][1] = fma(x, k1, part[r][1]);
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        acc[r][0] = first == lane ? part[r][0] : acc[r][0] + part[r][0];
        acc[r][1] = first == lane ? part[r][1] : acc[r][1] + part[r][1];
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      total[r][0] = lane == 0 ? acc[r][0] : total[r][0] + acc[r][0];
      total[r][1] = lane == 0 ? acc[r][1] : total[r][1] + acc[r][1];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    store(s + r * kKeys, total[r][0]);
    store(s + r * kKeys + kLanes, total[r][1]);
  }
}

// o[r][0 … kNR) += p[r][j] * v[j] over the keys [begin, end) of one panel of values.
template <int R>
TL_INLINE void value_panel(const float* p, const float* panel, int64_t begin, int64_t end, float* o,
                           int64_t ldo) {
  vf acc[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    acc[r][0] = load(o + r * ldo);
    acc[r][1] = load(o + r * ldo + kLanes);
  }
  for (int64_t j = begin; j < end; ++j) {
    const vf v0 = load(panel + j * kNR), v1 = load(panel + j * kNR + kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const vf x = splat(p + r * kKeys + j);
      acc[r][0] = fma(x, v0, acc[r][0]);
      acc[r][1] = fma(x, v1, acc[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    store(o + r * ldo, acc[r][0]);
    store(o + r * ldo + kLanes, acc[r][1]);
  }
}

// --- keys and values in place (few query rows)
// ------------------------------------------------------------------------------------------

// As score_panel, for kNR keys where they are; d is whole vectors.
template <int R, class T>
TL_INLINE void score_in_place(const float* q, int64_t ldq, const T* k, int64_t row, int64_t d,
                              float* s) {
  // Keys: enough chains of additions, and few enough that these, R queries and one key are sixteen
  // registers.
  constexpr int kTogether = R <= 3 ? 4 : 2;
  constexpr int kParts = (kLanes + 7) / 8;
  alignas(64) float lanes[R][64];
  for (int first = 0; first < kNR; first += 8, k += 8 * row) {
    for (int j = 0; j < 8; j += kTogether) {
      vf acc[R][kTogether] = {};
      for (int64_t c = 0; c < d; c += kLanes) {
        vf x[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) x[r] = load(q + r * ldq + c);
#pragma GCC unroll 4
        for (int i = 0; i < kTogether; ++i) {
          const vf y = load(k + (j + i) * row + c);
#pragma GCC unroll 8
          for (int r = 0; r < R; ++r) acc[r][i] = fma(x[r], y, acc[r][i]);
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int i = 0; i < kTogether; ++i) {
          f32x8 part[kParts];
          memcpy(part, &acc[r][i], sizeof(vf));
          store_at(lanes[r] + (j + i) * 8, kParts == 1 ? part[0] : part[0] + part[kParts - 1]);
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      f32x8 column[8];
      load_transposed(lanes[r], 8, column);
      f32x8 total = column[0];
      for (int i = 1; i < 8; ++i) total = total + column[i];
      store_at(s + r * kKeys + first, total);
    }
  }
}

// o[r] += p[r][j] * v[j] over the keys [begin, end), in column strips of V vectors; dv is whole
// vectors.
template <int R, int V, class T>
TL_INLINE int64_t value_strips(const float* p, const T* v, int64_t row, int64_t begin, int64_t end,
                               int64_t c, int64_t dv, float* o, int64_t ldo) {
  for (; c + V * kLanes <= dv; c += V * kLanes) {
    vf acc[R][V];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int i = 0; i < V; ++i) acc[r][i] = load(o + r * ldo + c + i * kLanes);
    }
    for (int64_t j = begin; j < end; ++j) {
      vf x[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) x[r] = splat(p + r * kKeys + j);
#pragma GCC unroll 8
      for (int i = 0; i < V; ++i) {
        const vf y = load(v + j * row + c + i * kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) acc[r][i] = fma(x[r], y, acc[r][i]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int i = 0; i < V; ++i) store(o + r * ldo + c + i * kLanes, acc[r][i]);
    }
  }
  return c;
}
template <int R, class T>
TL_INLINE void value_direct(const float* p, const T* v, int64_t row, int64_t begin, int64_t end,
                            int64_t dv, float* o, int64_t ldo) {
  int64_t c = value_strips<R, R == 1 ? 8 : R == 4 ? 2 : 4>(p, v, row, begin, end, 0, dv, o, ldo);
  value_strips<R, 1>(p, v, row, begin, end, c, dv, o, ldo);
}

// --- online softmax
// ------------------------------------------------------------------------------------------------------

// R rows of scores (base-2 logarithms), columns [begin, end), whole vectors → weights relative to
// each row's running maximum; a row's output so far is rescaled when its maximum rises. Maxima of
// all rows first, then their weights: a row alone would wait for its own maximum.
template <int R>
[[gnu::noinline]] static void online_softmax(float* s, int64_t begin, int64_t end, float* top,
                                             float* total, float* o, int64_t dv) {
  float tile_top[R], m[R];
  for (int r = 0; r < R; ++r) {
    vf best = splat(-__builtin_inff());
    for (int64_t j = begin; j < end; j += kLanes) best = max(load(s + r * kKeys + j), best);
    tile_top[r] = max_lane(best);
  }
  for (int r = 0; r < R; ++r) {
    m[r] = top[r];
    if (tile_top[r] > m[r]) {
      m[r] = tile_top[r];
      const float shrink = exp2_negative(splat(top[r] - m[r]))[0];
      top[r] = m[r];
      total[r] *= shrink;
      for (int64_t c = 0; c < dv; c += kLanes) store(o + r * dv + c, load(o + r * dv + c) * shrink);
    }
    // Nothing is visible yet: every weight is 0 (or NaN where the score is).
    if (m[r] == -__builtin_inff()) m[r] = 0;
  }
  for (int r = 0; r < R; ++r) {
    vf sums{};
    for (int64_t j = begin; j < end; j += kLanes) {
      float* at = s + r * kKeys + j;
      const vf p = exp2_negative(load(at) - m[r]);
      store(at, p);
      sums += p;
    }
    total[r] += sum(sums);
  }
}

}  // namespace tl::TL_ISA
