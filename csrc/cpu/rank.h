// Order-preserving unsigned forms of every dtype's values, so that sorting and selecting are
// written once, on integers. NaN of either sign is the greatest, -0 equals +0.
#pragma once
#include "reduce.h"

namespace tl::TL_ISA {

TL_INLINE uint32_t rank_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0xffffffff;
  if (bits == 0x80000000) bits = 0;  // -0 equals +0: ties go by index
  return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}
TL_INLINE uint32_t rank_of(f16 x) { return rank_of(to_float(x)); }
TL_INLINE uint32_t rank_of(bf16 x) { return rank_of(to_float(x)); }
TL_INLINE uint64_t rank_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, 8);
  const uint64_t sign = uint64_t{1} << 63;
  if ((bits & ~sign) > uint64_t{0x7ff0000000000000}) return ~uint64_t{0};
  if (bits == sign) bits = 0;
  return bits & sign ? ~bits : bits | sign;
}
TL_INLINE uint64_t rank_of(int64_t x) {
  return static_cast<uint64_t>(x) ^ uint64_t { 1 } << 63;
}
TL_INLINE uint64_t rank_of(uint64_t x) { return x; }
template <class T>
TL_INLINE uint32_t rank_of(T x)
  requires(sizeof(T) <= 4 && !kIsReal<T>)
{
  if constexpr (kIsSigned<T>)
    return static_cast<uint32_t>(static_cast<int32_t>(x)) ^ 0x80000000;
  else
    return x;
}

// Pairs of this order are all different, so every way of sorting them gives the same.
struct Ranked {
  uint64_t rank;
  int64_t index;
};
// Types of this namespace keep the standard algorithms' instances out of other ISA builds' reach.
struct Ascending {
  TL_INLINE bool operator()(const Ranked& a, const Ranked& b) const {
    return a.rank != b.rank ? a.rank < b.rank : a.index < b.index;
  }
};

// Element `at` of a line of x, whatever it means.
template <class Word>
TL_INLINE void copy_element(const std::byte* x, int64_t xs, int64_t at, std::byte* out) {
  memcpy(out, x + at * xs * static_cast<int64_t>(sizeof(Word)), sizeof(Word));
}
TL_INLINE void copy_element_bytes(int64_t bytes, const std::byte* x, int64_t xs, int64_t at,
                                  std::byte* out) {
  if (bytes == 4)
    copy_element<uint32_t>(x, xs, at, out);
  else if (bytes == 8)
    copy_element<uint64_t>(x, xs, at, out);
  else if (bytes == 2)
    copy_element<uint16_t>(x, xs, at, out);
  else
    copy_element<uint8_t>(x, xs, at, out);
}

}  // namespace tl::TL_ISA
