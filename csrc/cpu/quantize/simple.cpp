// Packing Q4_0 … Q8_1 and Q8_K. Without importances the scale comes from the largest elements, and
// the bytes equal those of ggml's reference (quantize_row_*_ref of ggml-quants.c); with them the
// scale is searched.
#include "search.h"

namespace tl::TL_ISA {
namespace {

// Nibbles (and fifth bits at `high`, when given) of 32 values.
TL_INLINE void put_nibbles(const uint8_t* q, uint8_t* low, uint8_t* high) {
  for (int i = 0; i < 16; ++i) low[i] = static_cast<uint8_t>((q[i] & 15) | (q[i + 16] & 15) << 4);
  if (!high) return;
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits |= static_cast<uint32_t>(q[i] >> 4) << i;
  memcpy(high, &bits, 4);
}

// Q4_0, Q5_0: the element farthest from zero becomes -2^(bits-1).
template <int kBits>
bool pack_symmetric(const float* x, const float* w, uint8_t* to) {
  constexpr int kHalf = 1 << (kBits - 1);
  using R = RoundToInteger<-kHalf, kHalf - 1>;
  uint8_t q[32];
  float d;
  if (w) {
    if (max_abs(x, 32) > kLargest) return false;
    d = half_scale(fit_scale<R, 32>(x, w, 16).value);
    for (int i = 0; i < 32; ++i) q[i] = static_cast<uint8_t>(R::code(d != 0 ? x[i] / d : 0));
  } else {
    d = max_magnitude(x, 32) / -kHalf;
    float inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < 32; ++i)
      q[i] = clip(rounded(x[i] * inverse) + (kHalf + 0.5f), 2 * kHalf - 1);
  }
  put_nibbles(q, to + (kBits == 5 ? 6 : 2), kBits == 5 ? to + 2 : nullptr);
  return put_half(to, d);
}

// Q4_1, Q5_1: from the least to the greatest element.
template <int kBits>
bool pack_range(const float* x, const float* w, uint8_t* to) {
  constexpr int kTop = (1 << kBits) - 1;
  uint8_t q[32];
  float d, least = x[0];
  if (w) {
    if (max_abs(x, 32) > kLargest) return false;
    Affine fit = fit_affine<kTop, 32, false>(x, w, 16, 3);
    d = half_scale(fit.scale), least = to_float(to_f16(-fit.least));
    for (int i = 0; i < 32; ++i)
      q[i] = static_cast<uint8_t>(RoundToInteger<0, kTop>::code(d != 0 ? (x[i] - least) / d : 0));
  } else {
    float most = x[0];
    for (int i = 1; i < 32; ++i) {
      least = x[i] < least ? x[i] : least;
      most = x[i] > most ? x[i] : most;
    }
    d = (most - least) / kTop;
    float inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < 32; ++i) q[i] = clip(rounded((x[i] - least) * inverse) + 0.5f, kTop);
  }
  put_nibbles(q, to + (kBits == 5 ? 8 : 4), kBits == 5 ? to + 4 : nullptr);
  bool fits = put_half(to, d);
  return put_half(to + 2, least) && fits;
}

// Rounds to int8 with the largest element at ±127, halves away from zero. Returns the scale.
float round_to_int8(const float* x, const float* w, int8_t* q) {
  if (w && max_abs(x, 32) <= kLargest) {
    using R = RoundToInteger<-127, 127>;
    float d = half_scale(fit_scale<R, 32>(x, w, 16).value);
    for (int i = 0; i < 32; ++i) q[i] = static_cast<int8_t>(R::code(d != 0 ? x[i] / d : 0) - 127);
    return d;
  }
  float d = max_abs(x, 32) / 127, inverse = d != 0 ? 1 / d : 0;
  for (int i = 0; i < 32; ++i) {
    float y = rounded(x[i] * inverse), size = __builtin_fabsf(y);
    int whole = clip(size, 127);
    if (size - static_cast<float>(whole) >= 0.5f && whole < 127) ++whole;
    q[i] = static_cast<int8_t>(y < 0 ? -whole : whole);
  }
  return d;
}

bool pack_q8_0(const float* x, const float* w, uint8_t* to) {
  return put_half(to, round_to_int8(x, w, reinterpret_cast<int8_t*>(to + 2)));
}

// As Q8_0, with d·Σq as a second f16.
bool pack_q8_1(const float* x, const float* w, uint8_t* to) {
  auto* q = reinterpret_cast<int8_t*>(to + 4);
  float d = round_to_int8(x, w, q);
  int sum = 0;
  for (int i = 0; i < 32; ++i) sum += q[i];
  bool fits = put_half(to, d);
  return put_half(to + 2, static_cast<float>(sum) * d) && fits;
}

// f32 d, 256 int8, 16 int16 sums of 16. The element farthest from zero becomes -127.
bool pack_q8_k(const float* x, const float*, uint8_t* to) {
  memset(to, 0, static_cast<size_t>(bytes_of(DType::q8_k)));
  float far = max_magnitude(x, 256);
  float scale = -127.f / far;
  if (far == 0 || !__builtin_isfinite(scale)) return true;  // beyond 1/scale: less than 2^-121
  auto* q = reinterpret_cast<int8_t*>(to + 4);
  for (int j = 0; j < 16; ++j) {
    int sum = 0;
    for (int i = 16 * j; i < 16 * j + 16; ++i) {
      float y = nearest(rounded(scale * x[i]));
      q[i] = static_cast<int8_t>(y < 127 ? y : 127);
      sum += q[i];
    }
    int16_t total = static_cast<int16_t>(sum);
    memcpy(to + 260 + 2 * j, &total, 2);
  }
  float d = 1 / scale;
  memcpy(to, &d, 4);
  return true;
}

}  // namespace

PackBlock simple_packer(DType dtype) {
  switch (dtype) {
    case DType::q4_0:
      return pack_symmetric<4>;
    case DType::q4_1:
      return pack_range<4>;
    case DType::q5_0:
      return pack_symmetric<5>;
    case DType::q5_1:
      return pack_range<5>;
    case DType::q8_0:
      return pack_q8_0;
    case DType::q8_1:
      return pack_q8_1;
    case DType::q8_k:
      return pack_q8_k;
    default:
      return nullptr;
  }
}

}  // namespace tl::TL_ISA
