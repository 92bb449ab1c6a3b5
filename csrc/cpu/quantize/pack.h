// What the packers of all block formats share: their common signature, scales as f16, and fields of
// bits. A packer turns the floats of one block into its bytes. Layouts: ggml-common.h of llama.cpp.
#pragma once
#include "../simd/simd.h"

namespace tl::TL_ISA {

// `w`: how much the squared error of each element counts (positive), or null when all count alike.
// False: the block needs a scale that its float16 cannot hold.
using PackBlock = bool (*)(const float* x, const float* w, uint8_t* to);

// The packer of a dtype, or null. One function per family of formats.
PackBlock simple_packer(DType dtype);  // scale = the largest element: Q4_0 … Q8_K
PackBlock narrow_packer(DType dtype);  // ternary, and floats of 4 or 8 bits
PackBlock k_packer(DType dtype);       // blocks of 256 with small integer scales
PackBlock iq4_packer(DType dtype);     // 4 bits that stand for uneven values
PackBlock grid_packer(DType dtype);    // IQ2, IQ3: groups of elements on a codebook, and signs
PackBlock ternary_grid_packer(DType dtype);  // IQ1: a codebook of -1, 0, 1, shifted

// Packers that choose a scale by search give up on elements beyond this: any format with a float16
// scale would overflow, and squares must not.
inline constexpr float kLargest = 1e9f;
// Elements below this are zero in every format with a float16 scale.
inline constexpr float kSmallest = 0x1p-26f;

TL_INLINE bool fits_half(float x) { return x < 65520.f && x > -65520.f; }
// False when x is beyond the range of f16.
TL_INLINE bool put_half(uint8_t* to, float x) {
  f16 h = to_f16(x);
  memcpy(to, &h, 2);
  return fits_half(x);
}
// The f16 nearest to a scale; never 0 for one that is not.
TL_INLINE float half_scale(float x) {
  float h = to_float(to_f16(x));
  if (h != 0 || x == 0) return h;
  return x > 0 ? 0x1p-24f : -0x1p-24f;
}

// Truncates into 0 … top; also when x is not finite.
TL_INLINE uint8_t clip(float x, int top) {
  return x > 0 ? (x < static_cast<float>(top) ? static_cast<uint8_t>(x) : static_cast<uint8_t>(top))
               : 0;
}
// The product as float arithmetic rounds it: the empty statement keeps the compiler from fusing it
// with an addition.
TL_INLINE float rounded(float x) {
  asm("" : "+m"(x));
  return x;
}
TL_INLINE float max_abs(const float* x, int n) {  // max |x|
  float peak = 0;
  for (int i = 0; i < n; ++i) {
    float a = __builtin_fabsf(x[i]);
    peak = a > peak ? a : peak;
  }
  return peak;
}
// The element farthest from zero, the first of several.
TL_INLINE float max_magnitude(const float* x, int n) {
  float peak = 0, size = 0;
  for (int i = 0; i < n; ++i) {
    float a = __builtin_fabsf(x[i]);
    if (a > size) size = a, peak = x[i];
  }
  return peak;
}

// Bit pairs of 128 elements in 32 bytes: element i at bits 2·(i / 32) of byte i mod 32.
TL_INLINE void put_pairs(const uint8_t* code, uint8_t* to) {
  for (int half = 0; half < 2; ++half, code += 128, to += 32) {
    for (int i = 0; i < 32; ++i)
      to[i] = static_cast<uint8_t>((code[i] & 3) | (code[i + 32] & 3) << 2 |
                                   (code[i + 64] & 3) << 4 | (code[i + 96] & 3) << 6);
  }
}

}  // namespace tl::TL_ISA
