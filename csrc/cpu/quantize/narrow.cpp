// Packing ternary weights (TQ1_0, TQ2_0), 4-bit floats (MXFP4, NVFP4), 8-bit floats with a scale
// per 128, and 1 and 2 plain bits (Q1_0, Q2_0). Without importances equal to ggml's reference
// (quantize_row_*_ref of ggml-quants.c); with them the scale is searched.
#include "../../core/grids.h"
#include "search.h"

namespace tl::TL_ISA {
namespace {

// --- ternary -------------------------------------------------------------------------------------

// -1, 0, 1 as 0, 1, 2; halves away from zero.
TL_INLINE uint8_t to_trit(float y) { return static_cast<uint8_t>(1 + (y >= 0.5f) - (y <= -0.5f)); }

// 256 elements to 0, 1, 2; returns the scale.
float round_to_ternary(const float* x, const float* w, uint8_t* trit) {
  float d = max_abs(x, 256);
  if (w && d <= kLargest) d = half_scale(fit_scale<RoundToInteger<-1, 1>, 256>(x, w, 32).value);
  float inverse = d != 0 ? 1 / d : 0;
  for (int i = 0; i < 256; ++i) trit[i] = to_trit(x[i] * inverse);
  return d;
}

// `count` trits, `step` apart, as the leading digits of a fraction of 256.
TL_INLINE uint8_t fraction(const uint8_t* trit, int step, int count) {
  int value = 0;
  for (int i = 0; i < 5; ++i) value = value * 3 + (i < count ? trit[i * step] : 0);
  return static_cast<uint8_t>((value * 256 + 242) / 243);
}

// 48 bytes of five trits and 4 bytes of four; f16 d.
bool pack_tq1_0(const float* x, const float* w, uint8_t* to) {
  uint8_t trit[256];
  float d = round_to_ternary(x, w, trit);
  for (int i = 0; i < 32; ++i) to[i] = fraction(trit + i, 32, 5);
  for (int i = 0; i < 16; ++i) to[32 + i] = fraction(trit + 160 + i, 16, 5);
  for (int i = 0; i < 4; ++i) to[48 + i] = fraction(trit + 240 + i, 4, 4);
  return put_half(to + 52, d);
}

// 64 bytes of bit pairs, f16 d.
bool pack_tq2_0(const float* x, const float* w, uint8_t* to) {
  uint8_t trit[256];
  float d = round_to_ternary(x, w, trit);
  put_pairs(trit, to);
  return put_half(to + 64, d);
}

// --- one and two bits ----------------------------------------------------------------------------

// f16 d = the mean size, 128 bits: +d or -d.
bool pack_q1_0(const float* x, const float* w, uint8_t* to) {
  float size = 0, weight = 0;
  for (int i = 0; i < 128; ++i) {
    size += (w ? w[i] : 1) * __builtin_fabsf(x[i]);
    weight += w ? w[i] : 1;
  }
  memset(to + 2, 0, 16);
  for (int i = 0; i < 128; ++i) to[2 + i / 8] |= static_cast<uint8_t>((x[i] >= 0) << i % 8);
  return put_half(to, size / weight);
}

// f16 d, 64 bit pairs: -d, 0, d, 2d. Only -1 … 1 occur when d is the largest size.
bool pack_q2_0(const float* x, const float* w, uint8_t* to) {
  using R = RoundToInteger<-1, 2>;
  float d = max_abs(x, 64);
  uint8_t code[64];
  if (w && d <= kLargest) {
    d = half_scale(fit_scale<R, 64>(x, w, 32).value);
    for (int i = 0; i < 64; ++i) code[i] = static_cast<uint8_t>(R::code(d != 0 ? x[i] / d : 0));
  } else {
    float inverse = d > 0 ? 1 / d : 0;
    for (int i = 0; i < 64; ++i) code[i] = to_trit(x[i] * inverse);
  }
  for (int i = 0; i < 16; ++i) {
    const uint8_t* c = code + 4 * i;
    to[2 + i] = static_cast<uint8_t>(c[0] | c[1] << 2 | c[2] << 4 | c[3] << 6);
  }
  return put_half(to, d);
}

// --- 4-bit floats --------------------------------------------------------------------------------

// Codes of n elements under scale d (of doubled values), ties to the smaller magnitude. Returns
// the error, weighted if weights are given.
template <int n>
float round_to_e2m1(const float* x, const float* w, float d, uint8_t* code) {
  vf total{};
  for (int i = 0; i < n; i += kLanes) {
    vf v = load(x + i), a = abs(v), best = a;
    vi index{};
    for (int k = 1; k < 8; ++k) {
      vf error = abs(splat(static_cast<float>(kE2m1Values[k]) * d) - a);
      vi closer = error < best;
      best = select(closer, error, best);
      index = (closer & splat(k)) | (~closer & index);
    }
    index |= (v < 0.f) & (index > 0) & splat(8);
    for (int j = 0; j < kLanes; ++j) code[i + j] = static_cast<uint8_t>(index[j]);
    total += (w ? load(w + i) : splat(1.f)) * best * best;
  }
  return sum(total);
}

// 2^(e - 128): half of E8M0's value, for values that are doubled.
TL_INLINE float e8m0_half(int e) {
  uint32_t bits = e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23;
  float d;
  memcpy(&d, &bits, 4);
  return d;
}

// A byte e, 16 bytes of nibbles.
bool pack_mxfp4(const float* x, const float* w, uint8_t* to) {
  float peak = max_abs(x, 32);
  int e = 0;
  if (peak > 0) {
    e = static_cast<int>(__builtin_floorf(__builtin_log2f(peak))) - 2 + 127;
    e = e < 0 ? 0 : e > 254 ? 254 : e;
  }
  uint8_t code[32];
  if (w && peak <= kLargest) {
    float least = 3e38f;
    int best = e;
    for (int k = e > 0 ? e - 1 : 0; k <= e + 1; ++k) {
      float error = round_to_e2m1<32>(x, w, e8m0_half(k), code);
      if (error < least) least = error, best = k;
    }
    e = best;
  }
  round_to_e2m1<32>(x, w, e8m0_half(e), code);
  to[0] = static_cast<uint8_t>(e);
  for (int i = 0; i < 16; ++i) to[1 + i] = static_cast<uint8_t>(code[i] | code[i + 16] << 4);
  return true;
}

// Half the value of an unsigned E4M3, for values that are doubled; 0x7f is 0 in ggml.
TL_INLINE float ue4m3_half(int u) {
  if (u == 0 || u == 0x7f) return 0;
  int exponent = u >> 3, mantissa = u & 7;
  return exponent == 0 ? static_cast<float>(mantissa) * 0x1p-10f
                       : (1 + static_cast<float>(mantissa) / 8) * e8m0_half(exponent - 7 + 127);
}

// The nearest unsigned E4M3, up to 448, halves up.
TL_INLINE int to_ue4m3(float x) {
  if (!(x > 0)) return 0;
  if (x < 0x1p-6f) return clip(x * 512 + 0.5f, 7);
  if (x >= 448) return 0x7e;
  uint32_t bits;
  memcpy(&bits, &x, 4);
  int u = static_cast<int>((bits + (1u << 19)) >> 20) - (120 << 3);
  return u > 0x7e ? 0x7e : u;
}

// 4 scales, and nibbles of 4 × 16 elements.
bool pack_nvfp4(const float* x, const float* w, uint8_t* to) {
  for (int s = 0; s < 4; ++s, x += 16) {
    int u = to_ue4m3(max_abs(x, 16) / 6.0f);
    uint8_t code[16];
    if (w && u > 0) {
      float least = 3e38f;
      int best = u, last = u + 4 < 0x7e ? u + 4 : 0x7e;
      for (int k = u > 6 ? u - 6 : 1; k <= last; ++k) {
        float error = round_to_e2m1<16>(x, w, ue4m3_half(k), code);
        if (error < least) least = error, best = k;
      }
      u = best;
    }
    round_to_e2m1<16>(x, w, ue4m3_half(u), code);
    to[s] = static_cast<uint8_t>(u);
    for (int i = 0; i < 8; ++i)
      to[4 + 8 * s + i] = static_cast<uint8_t>(code[i] | code[i + 8] << 4);
    if (w) w += 16;
  }
  return true;
}

// --- 8-bit floats with a scale -------------------------------------------------------------------

// The nearest E4M3, halves to even; |x| up to 448.
TL_INLINE uint8_t to_e4m3(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  uint32_t sign = bits >> 24 & 0x80, a = bits & 0x7fffffff, u;
  if (a < 0x3c800000)  // below 2^-6: multiples of 2^-9
    u = static_cast<uint32_t>(nearest(__builtin_fabsf(x) * 512));
  else
    u = ((a + 0x7ffff + (a >> 20 & 1)) >> 20) - (120 << 3);
  return static_cast<uint8_t>(sign | (u < 0x7e ? u : 0x7e));
}

// f32 scale, 128 E4M3: what DeepSeek's checkpoints hold in two tensors, side by side. The largest
// element becomes 448. (A scale chosen by importance gains nothing: the steps grow with the size.)
bool pack_f8e4m3_128(const float* x, const float*, uint8_t* to) {
  float d = max_abs(x, 128) / 448;
  memcpy(to, &d, 4);
  for (int i = 0; i < 128; ++i) to[4 + i] = to_e4m3(d != 0 ? x[i] / d : 0);
  return true;
}

}  // namespace

PackBlock narrow_packer(DType dtype) {
  switch (dtype) {
    case DType::tq1_0:
      return pack_tq1_0;
    case DType::tq2_0:
      return pack_tq2_0;
    case DType::mxfp4:
      return pack_mxfp4;
    case DType::nvfp4:
      return pack_nvfp4;
    case DType::q1_0:
      return pack_q1_0;
    case DType::q2_0:
      return pack_q2_0;
    case DType::f8e4m3_128:
      return pack_f8e4m3_128;
    default:
      return nullptr;
  }
}

}  // namespace tl::TL_ISA
