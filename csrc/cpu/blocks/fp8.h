// 8-bit floats as weights: E4M3 and E5M2 by themselves, and E4M3 with a scale to 128 of them.
#pragma once
#include "format.h"

namespace tl::TL_ISA {

struct F8E4M3 {
  uint8_t bits;
};
struct F8E5M2 {
  uint8_t bits;
};

// E5M2 is the upper byte of an f16.
TL_INLINE float to_float(F8E5M2 x) { return to_float(f16{static_cast<uint16_t>(x.bits << 8)}); }
// E4M3 has an exponent bias of 7 where f16 has 15, no infinities, and NaN only where all bits are
// set.
TL_INLINE float to_float(F8E4M3 x) {
  uint32_t nan = (x.bits & 0x7f) == 0x7f ? 0x7e00 : 0;
  uint32_t half = (x.bits & 0x80u) << 8 | (x.bits & 0x7fu) << 7 | nan;
  return to_float(f16{static_cast<uint16_t>(half)}) * 256.f;
}

#ifdef __F16C__
TL_INLINE vf load(const F8E5M2* p) {
  __m128i x = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return (vf)_mm256_cvtph_ps(_mm_unpacklo_epi8(_mm_setzero_si128(), x));
}
TL_INLINE vf load(const F8E4M3* p) {
  __m128i x = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  __m128i rest = _mm_slli_epi16(_mm_and_si128(x, _mm_set1_epi16(0x7f)), 7);
  __m128i nan = _mm_cmpeq_epi16(rest, _mm_set1_epi16(0x3f80));
  x = _mm_or_si128(_mm_and_si128(x, _mm_set1_epi16(static_cast<int16_t>(0x8000))),
                   _mm_or_si128(rest, _mm_and_si128(nan, _mm_set1_epi16(0x7e00))));
  return (vf)_mm256_cvtph_ps(x) * splat(256.f);
}
#else
template <class T>
  requires(__is_same(T, F8E4M3) || __is_same(T, F8E5M2))
TL_INLINE vf load(const T* p) {
  vf v;
  for (int i = 0; i < kLanes; ++i) v[i] = to_float(p[i]);
  return v;
}
#endif

// f32 scale, 128 E4M3. Its values are no small integers: it is always multiplied in floats.
struct F8E4M3_128 {
  static constexpr DType kDType = DType::f8e4m3_128;
  static constexpr int kBytes = bytes_of(kDType);

  static void unpack(const uint8_t* b, int64_t blocks, float* out) {
    for (int64_t i = 0; i < blocks; ++i, b += kBytes, out += 128) {
      float scale;
      memcpy(&scale, b, 4);
      for (int j = 0; j < 128; j += kLanes)
        store(out + j, load(reinterpret_cast<const F8E4M3*>(b + 4 + j)) * splat(scale));
    }
  }
};

}  // namespace tl::TL_ISA
