// Packing Q2_K … Q6_K: blocks of 256 whose groups of 16 or 32 have scales, and minima, of 4 to 8
// bits.
#include "super_block.h"

namespace tl::TL_ISA {
namespace {

// --- x ≈ d·l·q: Q3_K, Q6_K -----------------------------------------------------------------------

// 32 bytes of high bits, 64 bytes of low bit pairs, 16 six-bit scales in 12 bytes, f16 d.
bool pack_q3_k(const float* x, const float* w, uint8_t* to) {
  SuperBlock<16> b;
  if (!pack_super_block<RoundToInteger<-4, 3>>(x, w, -32, 31, 16, b)) return false;
  memset(to, 0, 32);
  for (int i = 0; i < kBlockSize; ++i)
    to[i % 32] |= static_cast<uint8_t>((b.code[i] >> 2) << i / 32);
  put_pairs(b.code, to + 32);
  uint8_t* scales = to + 96;
  memset(scales, 0, 12);
  for (int j = 0; j < 16; ++j) {
    int l = b.l[j] + 32;
    scales[j % 8] |= static_cast<uint8_t>((l & 15) << j / 8 * 4);
    scales[8 + j % 4] |= static_cast<uint8_t>((l >> 4) << j / 4 * 2);
  }
  return put_half(to + 108, b.d);
}

// 128 bytes of low nibbles, 64 bytes of high bit pairs, 16 int8 scales, f16 d.
bool pack_q6_k(const float* x, const float* w, uint8_t* to) {
  SuperBlock<16> b;
  if (!pack_super_block<RoundToInteger<-32, 31>>(x, w, -128, 127, 16, b)) return false;
  for (int half = 0; half < 2; ++half) {
    const uint8_t* code = b.code + 128 * half;
    for (int i = 0; i < 64; ++i)
      to[64 * half + i] = static_cast<uint8_t>((code[i] & 15) | (code[i + 64] & 15) << 4);
  }
  uint8_t high[kBlockSize];
  for (int i = 0; i < kBlockSize; ++i) high[i] = b.code[i] >> 4;
  put_pairs(high, to + 128);
  for (int j = 0; j < 16; ++j) to[192 + j] = static_cast<uint8_t>(b.l[j]);
  return put_half(to + 208, b.d);
}

// --- x ≈ d·l·q - dmin·m: Q2_K, Q4_K, Q5_K --------------------------------------------------------

template <int kGroups>
struct Affines {
  float d = 0, dmin = 0;
  int l[kGroups] = {}, m[kGroups] = {};
  uint8_t code[kBlockSize] = {};
};

// Integers around the ideal ones: 4 × 4 pairs (l, m) per group. Returns the error left.
template <int kTop, int kGroups>
float choose_pairs(const float* x, const float* w, const Affine* ideal, int high,
                   Affines<kGroups>& b) {
  constexpr int n = kBlockSize / kGroups;
  float total = 0;
  auto start = [&](float value, float unit) {
    float y = unit > 0 ? value / unit : 0;
    y = y > 0 ? (y < static_cast<float>(high) ? y : static_cast<float>(high)) : 0;
    return __builtin_floorf(y) - 1;
  };
  for (int j = 0; j < kGroups; ++j) {
    float l0 = start(ideal[j].scale, b.d), m0 = start(ideal[j].least, b.dmin), best_error = 3e38f;
    for (int i = 0; i < 16; i += kLanes) {
      vf l, m;
      for (int k = 0; k < kLanes; ++k) {
        l[k] = l0 + static_cast<float>((i + k) % 4);
        m[k] = m0 + static_cast<float>((i + k) / 4);
      }
      l = clamp(l, 0, static_cast<float>(high));
      m = clamp(m, 0, static_cast<float>(high));
      vf error = affine_error<RoundToInteger<0, kTop>, n>(x + n * j, w + n * j, splat(b.d) * l,
                                                          splat(b.dmin) * m);
      int lane = best_lane(vf{} - error);
      if (error[lane] >= best_error) continue;
      best_error = error[lane];
      b.l[j] = static_cast<int>(l[lane]), b.m[j] = static_cast<int>(m[lane]);
    }
    total += best_error;
  }
  return total;
}

// d and dmin by least squares under the integers and the elements rounded under them.
template <int kTop, int kGroups>
void refit_units(const float* x, const float* w, Affines<kGroups>& b) {
  constexpr int n = kBlockSize / kGroups;
  vf aa{}, bb{}, ab{}, xa{}, xb{};
  for (int j = 0; j < kGroups; ++j) {
    float s = b.d * static_cast<float>(b.l[j]), m = b.dmin * static_cast<float>(b.m[j]);
    float inverse = s != 0 ? 1 / s : 0;
    vf lowest = splat(-static_cast<float>(b.m[j]));
    for (int i = n * j; i < n * j + n; i += kLanes) {
      vf xi = load(x + i), wi = load(w + i);
      vf q = RoundToInteger<0, kTop>::round((xi + splat(m)) * splat(inverse)) *
             splat(static_cast<float>(b.l[j]));
      aa += wi * q * q;
      ab += wi * q * lowest;
      bb += wi * lowest * lowest;
      xa += wi * q * xi;
      xb += wi * lowest * xi;
    }
  }
  float A = sum(aa), B = sum(bb), C = sum(ab), X = sum(xa), Y = sum(xb), det = A * B - C * C;
  if (det > 1e-6f * A * B) {
    float d = (B * X - C * Y) / det, dmin = (A * Y - C * X) / det;
    if (d > 0 && dmin >= 0) b.d = d, b.dmin = dmin;
  } else if (A > 0 && X > 0 && B == 0) {
    b.d = X / A;
  }
}

template <int kTop, int kGroups>
bool pack_affines(const float* x, const float* w, int high, int widths, int shifts,
                  Affines<kGroups>& out) {
  constexpr int n = kBlockSize / kGroups;
  if (max_abs(x, kBlockSize) > kLargest) return false;
  Affine ideal[kGroups];
  Scale scales[kGroups], minima[kGroups];
  for (int j = 0; j < kGroups; ++j) {
    ideal[j] = fit_affine<kTop, n, true>(x + n * j, w + n * j, widths, shifts);
    float sw = 0;
    for (int i = 0; i < n; ++i) sw += w[n * j + i];
    scales[j] = {ideal[j].scale, ideal[j].curve};
    minima[j] = {ideal[j].least, sw};
  }
  Affines<kGroups> b;
  b.d = fit_unit<kGroups>(scales, 0, high), b.dmin = fit_unit<kGroups>(minima, 0, high);
  float best_error = 3e38f;
  for (int round = 0; round < kRounds; ++round) {
    if (!fits_half(b.d) || !fits_half(b.dmin)) break;
    b.d = half_scale(b.d), b.dmin = half_scale(b.dmin);
    float error = choose_pairs<kTop>(x, w, ideal, high, b);
    if (!(error < best_error)) break;
    best_error = error, out = b;
    refit_units<kTop>(x, w, b);
  }
  for (int i = 0; i < kBlockSize; ++i) {
    float s = out.d * static_cast<float>(out.l[i / n]),
          m = out.dmin * static_cast<float>(out.m[i / n]);
    out.code[i] = static_cast<uint8_t>(RoundToInteger<0, kTop>::code(s != 0 ? (x[i] + m) / s : 0));
  }
  return best_error < 3e38f;
}

// 16 bytes of scale and minimum nibbles, 64 bytes of bit pairs, f16 d, f16 dmin.
bool pack_q2_k(const float* x, const float* w, uint8_t* to) {
  Affines<16> b;
  if (!pack_affines<3>(x, w, 15, 8, 5, b)) return false;
  for (int j = 0; j < 16; ++j) to[j] = static_cast<uint8_t>(b.l[j] | b.m[j] << 4);
  put_pairs(b.code, to + 16);
  bool fits = put_half(to + 80, b.d);
  return put_half(to + 82, b.dmin) && fits;
}

// f16 d, f16 dmin, 8 six-bit scales and minima in 12 bytes: the first four whole, the high bits of
// the others above them.
bool put_head(const Affines<8>& b, uint8_t* to) {
  uint8_t* scales = to + 4;
  for (int j = 0; j < 4; ++j) {
    int l = b.l[j + 4], m = b.m[j + 4];
    scales[j] = static_cast<uint8_t>(b.l[j] | (l >> 4) << 6);
    scales[j + 4] = static_cast<uint8_t>(b.m[j] | (m >> 4) << 6);
    scales[j + 8] = static_cast<uint8_t>((l & 15) | (m & 15) << 4);
  }
  bool fits = put_half(to, b.d);
  return put_half(to + 2, b.dmin) && fits;
}

TL_INLINE void put_low_nibbles(const uint8_t* code, uint8_t* to) {
  for (int p = 0; p < 4; ++p, code += 64, to += 32) {
    for (int i = 0; i < 32; ++i)
      to[i] = static_cast<uint8_t>((code[i] & 15) | (code[i + 32] & 15) << 4);
  }
}

bool pack_q4_k(const float* x, const float* w, uint8_t* to) {
  Affines<8> b;
  if (!pack_affines<15>(x, w, 63, 16, 3, b)) return false;
  put_low_nibbles(b.code, to + 16);
  return put_head(b, to);
}

// As Q4_K, with 32 bytes of fifth bits before the nibbles.
bool pack_q5_k(const float* x, const float* w, uint8_t* to) {
  Affines<8> b;
  if (!pack_affines<31>(x, w, 63, 16, 2, b)) return false;
  memset(to + 16, 0, 32);
  for (int i = 0; i < kBlockSize; ++i)
    to[16 + i % 32] |= static_cast<uint8_t>((b.code[i] >> 4) << i / 32);
  put_low_nibbles(b.code, to + 48);
  return put_head(b, to);
}

}  // namespace

PackBlock k_packer(DType dtype) {
  switch (dtype) {
    case DType::q2_k:
      return pack_q2_k;
    case DType::q3_k:
      return pack_q3_k;
    case DType::q4_k:
      return pack_q4_k;
    case DType::q5_k:
      return pack_q5_k;
    case DType::q6_k:
      return pack_q6_k;
    default:
      return nullptr;
  }
}

}  // namespace tl::TL_ISA
