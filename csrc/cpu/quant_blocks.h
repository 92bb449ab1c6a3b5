// The block formats: how 32 weights are unpacked to small integers, and the scales (and minima)
// that belong to them. Every kernel is written on these two functions alone; a new format is one
// struct here and one line in with_format. Layouts: ggml-common.h of llama.cpp. A weight is d·(q +
// kOffset), or d·q + m in the formats with kMins.
#pragma once
#include "simd/int8.h"

namespace tl::TL_ISA {

TL_INLINE float half_at(const uint8_t* p) {
  f16 h;
  memcpy(&h, p, 2);
  return to_float(h);
}
TL_INLINE uint32_t word_at(const uint8_t* p) {
  uint32_t w;
  memcpy(&w, p, 4);
  return w;
}

// d[i] = the f16 at p + i·step. Written up to n rounded up to 8, the last one repeated: a reader of
// whole vectors finds numbers there. (Zeros stored one by one would cost it dear: a load cannot be
// forwarded from several stores.)
template <int kStep>
TL_INLINE void halves_at(const uint8_t* p, int64_t n, float* d) {
#ifdef __F16C__
  auto convert = [&](int64_t i, auto at) {
    auto bits = [&](int64_t j) {
      short h;
      memcpy(&h, at(p + (i + j) * kStep), 2);
      return h;
    };
    __m128i x =
        _mm_setr_epi16(bits(0), bits(1), bits(2), bits(3), bits(4), bits(5), bits(6), bits(7));
    store(d + i, (vf)_mm256_cvtph_ps(x));
  };
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) convert(i, [](const uint8_t* at) { return at; });
  if (i < n)
    convert(i, [last = p + (n - 1) * kStep](const uint8_t* at) { return at < last ? at : last; });
#else
  for (int64_t i = 0; i < (n + 7) / 8 * 8; ++i) d[i] = half_at(p + (i < n ? i : n - 1) * kStep);
#endif
}

// d[i], m[i] = the pair of f16 at p + i·step; room as above.
template <int kStep>
TL_INLINE void half_pairs_at(const uint8_t* p, int64_t n, float* d, float* m) {
#ifdef __F16C__
  auto convert = [&](int64_t i, auto at) {
    auto four = [&](int64_t j) {  // d d d d m m m m
      auto bits = [&](int64_t e) { return static_cast<int>(word_at(at(p + (j + e) * kStep))); };
      __m128i x = _mm_setr_epi32(bits(0), bits(1), bits(2), bits(3));
      return _mm256_cvtph_ps(
          _mm_shuffle_epi8(x, _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)));
    };
    __m256 low = four(i), high = four(i + 4);
    store(d + i, (vf)_mm256_permute2f128_ps(low, high, 0x20));
    store(m + i, (vf)_mm256_permute2f128_ps(low, high, 0x31));
  };
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) convert(i, [](const uint8_t* at) { return at; });
  if (i < n)
    convert(i, [last = p + (n - 1) * kStep](const uint8_t* at) { return at < last ? at : last; });
#else
  for (int64_t i = 0; i < (n + 7) / 8 * 8; ++i) {
    const uint8_t* at = p + (i < n ? i : n - 1) * kStep;
    d[i] = half_at(at);
    m[i] = half_at(at + 2);
  }
#endif
}

// kBytes, kUnits: bytes and 32-weight units of a block; kGroup: weights that share a scale; kBits:
// see tile_times_rows.
template <DType kType, int kGroupSize, int kBitWidth, int kShift, bool kHasMins>
struct Format {
  static constexpr DType kDType = kType;
  static constexpr int kBytes = bytes_of(kType), kUnits = block_of(kType) / 32, kGroup = kGroupSize;
  static constexpr int kGroups = kUnits * 32 / kGroup;  // in a block
  static constexpr int kBits = kBitWidth, kOffset = kShift;
  static constexpr bool kSigned = kBitWidth == 8, kMins = kHasMins;
};

struct Q4_0 : Format<DType::q4_0, 32, 4, -8, false> {
  static TL_INLINE b32 values(const uint8_t* b, int) { return nibbles(b + 2); }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    halves_at<kBytes>(b, n, d);
  }
};

struct Q4_1 : Format<DType::q4_1, 32, 4, 0, true> {
  static TL_INLINE b32 values(const uint8_t* b, int) { return nibbles(b + 4); }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float* m) {
    half_pairs_at<kBytes>(b, n, d, m);
  }
};

struct Q5_0 : Format<DType::q5_0, 32, 5, -16, false> {
  static TL_INLINE b32 values(const uint8_t* b, int) {
    return operator_or(nibbles(b + 6), spread_bits(word_at(b + 2), 16));
  }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    halves_at<kBytes>(b, n, d);
  }
};

struct Q5_1 : Format<DType::q5_1, 32, 5, 0, true> {
  static TL_INLINE b32 values(const uint8_t* b, int) {
    return operator_or(nibbles(b + 8), spread_bits(word_at(b + 4), 16));
  }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float* m) {
    half_pairs_at<kBytes>(b, n, d, m);
  }
};

struct Q8_0 : Format<DType::q8_0, 32, 8, 0, false> {
  static TL_INLINE b32 values(const uint8_t* b, int) { return load32(b + 2); }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    halves_at<kBytes>(b, n, d);
  }
};

// f16 d, f16 dmin, 8 six-bit scales and 8 six-bit minima in 12 bytes, 128 bytes of nibbles.
struct Q4_K : Format<DType::q4_k, 32, 4, 0, true> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    // One call with a computed shift, not a choice between two calls: GCC 12 mixes up the returned
    // structs of the portable b32.
    b32 x = load32(b + 16 + unit / 2 * 32);
    return field(x, unit % 2 * 4, 15);
  }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float* m) {
    for (int64_t i = 0; i < n; ++i, b += kBytes) {
      uint32_t x = word_at(b + 4), y = word_at(b + 8), z = word_at(b + 12);
      uint32_t packed[4] = {x & 0x3f3f3f3f, (z & 0x0f0f0f0f) | (x >> 2 & 0x30303030),  //
                            y & 0x3f3f3f3f, (z >> 4 & 0x0f0f0f0f) | (y >> 2 & 0x30303030)};
      float scale = half_at(b), least = -half_at(b + 2);
#ifdef __AVX2__
      auto eight = [&](int j) {
        __m128i x8 =
            _mm_set_epi32(0, 0, static_cast<int>(packed[j + 1]), static_cast<int>(packed[j]));
        return (vf)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x8));
      };
      store(d + 8 * i, splat(scale) * eight(0));
      store(m + 8 * i, splat(least) * eight(2));
#else
      uint8_t bytes[16];
      memcpy(bytes, packed, 16);
      for (int j = 0; j < 8; ++j) {
        d[8 * i + j] = scale * bytes[j];
        m[8 * i + j] = least * bytes[8 + j];
      }
#endif
    }
  }
};

// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales, f16 d.
struct Q6_K : Format<DType::q6_k, 16, 6, -32, false> {
  static TL_INLINE b32 values(const uint8_t* b, int unit) {
    int half = unit / 4, j = unit % 4;
    b32 low = field(load32(b + 64 * half + 32 * (j & 1)), j / 2 * 4, 15);
    b32 high = field(load32(b + 128 + 32 * half), 2 * j, 3);
    return operator_or(low, shift_left(high, 4));
  }
  static TL_INLINE void scales(const uint8_t* b, int64_t n, float* d, float*) {
    for (int64_t i = 0; i < n; ++i, b += kBytes) {
      float scale = half_at(b + 208);
      for (int j = 0; j < 16; ++j) d[16 * i + j] = scale * static_cast<int8_t>(b[192 + j]);
    }
  }
};

// Calls f(Format{}) for a block dtype with code; false for the others.
template <class F>
TL_INLINE bool with_format(DType dtype, F f) {
  switch (dtype) {
    case DType::q4_0:
      return f(Q4_0{}), true;
    case DType::q4_1:
      return f(Q4_1{}), true;
    case DType::q5_0:
      return f(Q5_0{}), true;
    case DType::q5_1:
      return f(Q5_1{}), true;
    case DType::q8_0:
      return f(Q8_0{}), true;
    case DType::q4_k:
      return f(Q4_K{}), true;
    case DType::q6_k:
      return f(Q6_K{}), true;
    default:
      return false;
  }
}

// The plain dtypes that weights come in as well: f(T{}).
template <class F>
TL_INLINE bool with_float(DType dtype, F f) {
  switch (dtype) {
    case DType::f32:
      return f(float{}), true;
    case DType::f16:
      return f(f16{}), true;
    case DType::bf16:
      return f(bf16{}), true;
    default:
      return false;
  }
}

// Weights of `blocks` blocks as floats. d·(q + offset) and d·q + m are rounded once, as in the
// reference: d·q is exact in float, so a fused multiply-add changes nothing.
template <class F>
TL_INLINE void unpack_blocks(const uint8_t* b, int64_t blocks, float* out) {
  constexpr int kRun = 8;  // blocks of 32, or 1 of 256: what the scales on the stack are for
  float d[kRun * F::kGroups], m[kRun * F::kGroups];
  for (int64_t i = 0; i < blocks; i += kRun) {
    int64_t run = blocks - i < kRun ? blocks - i : kRun;
    F::scales(b, run, d, m);
    for (int64_t j = 0; j < run; ++j, b += F::kBytes) {
#pragma GCC unroll 8
      for (int unit = 0; unit < F::kUnits; ++unit, out += 32) {
        b32 w = F::values(b, unit);
        if constexpr (F::kOffset != 0) w = add32(w, splat32(F::kOffset));
        const float* dg = d + (j * F::kUnits + unit) * (32 / F::kGroup);
        const float* mg = m + (j * F::kUnits + unit) * (32 / F::kGroup);
        each_float<(F::kOffset != 0 || F::kSigned)>(w, [&](int e, vf v) {
          v = v * splat(dg[e / F::kGroup]);
          if constexpr (F::kMins) v = v + splat(mg[e / F::kGroup]);
          store(out + e, v);
        });
      }
    }
  }
}

}  // namespace tl::TL_ISA
