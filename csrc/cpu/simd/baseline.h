// The plainest set: every primitive in GCC's and Clang's vector extensions, for vectors of any
// width. A richer set includes this header and overloads what it has instructions for: functions
// here are templates, and an overload for a type goes before them.
#pragma once
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../../core/view.h"

#ifndef TL_LANES
#define TL_LANES 4
#endif

namespace tl::TL_ISA {

inline constexpr int kLanes = TL_LANES;  // floats of a vector

template <class T, int n>
struct SimdOf {
  typedef T type __attribute__((vector_size(sizeof(T) * n)));
};
template <class T, int n>
using Simd = typename SimdOf<T, n>::type;

typedef Simd<float, kLanes> vf;
typedef Simd<int32_t, kLanes> vi;
typedef Simd<uint32_t, kLanes> vu;
typedef Simd<uint16_t, kLanes> vh;  // the bits of as many halves
typedef Simd<double, kLanes / 2> vd;
typedef Simd<int64_t, kLanes / 2> vl;
typedef Simd<uint64_t, kLanes / 2> vw;

// Of one size in all sets: what the block formats are written in.
typedef Simd<float, 4> f32x4;
typedef Simd<float, 8> f32x8;
typedef Simd<int32_t, 8> i32x8;
typedef Simd<uint32_t, 8> u32x8;
typedef Simd<uint64_t, 4> u64x4;
typedef Simd<int16_t, 16> i16x16;
typedef Simd<uint16_t, 16> u16x16;
typedef Simd<uint16_t, 8> u16x8;
typedef Simd<uint8_t, 16> b16;
typedef Simd<uint8_t, 32> b32;
typedef Simd<int8_t, 32> i8x32;

template <class V>
concept SimdVector = requires(V v) {
  v[0];
  v + v;
};
template <SimdVector V>
inline constexpr int kLanesOf = sizeof(V) / sizeof(V{}[0]);
template <SimdVector V>
using Number = std::remove_cvref_t<decltype(V{}[0])>;

// --- memory at any address
// ------------------------------------------------------------------------------------------------

template <SimdVector V>
TL_INLINE V load_as(const void* p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}
template <SimdVector V>
TL_INLINE void store_at(void* p, V v) {
  memcpy(p, &v, sizeof v);
}
// The lanes of a mask; the others are not touched, and read as zero.
template <SimdVector M>
TL_INLINE Simd<float, kLanesOf<M>> load_masked(const float* p, M mask) {
  Simd<float, kLanesOf<M>> v{};
  for (int i = 0; i < kLanesOf<M>; ++i) {
    if (mask[i]) v[i] = p[i];
  }
  return v;
}
template <SimdVector I>
TL_INLINE Simd<float, kLanesOf<I>> gather(const float* table, I index) {
  Simd<float, kLanesOf<I>> v;
  for (int i = 0; i < kLanesOf<I>; ++i) v[i] = table[index[i]];
  return v;
}
// 32 bytes past the cache, to a multiple of 32; and the end of such stores.
template <class = void>
TL_INLINE void stream32(void* to, const void* from) {
  memcpy(to, from, 32);
}
template <class = void>
TL_INLINE void stream_done() {}

// --- choice
// ---------------------------------------------------------------------------------------------------------------

// By whole bits of the mask, and by the top bit of each lane.
template <SimdVector M, SimdVector V>
TL_INLINE V select(M mask, V a, V b) {
  return (V)(((M)a & mask) | ((M)b & ~mask));
}
template <SimdVector M, SimdVector V>
TL_INLINE V blend(M mask, V a, V b) {
  return select(mask, a, b);
}
template <SimdVector M>
TL_INLINE bool any(M mask) {
  typedef Simd<uint64_t, sizeof(M) / 8> W;
  W bits = (W)mask;
  uint64_t found = 0;
  for (unsigned i = 0; i < sizeof(M) / 8; ++i) found |= bits[i];
  return found != 0;
}
// Bit i is the top bit of byte i.
template <class = void>
TL_INLINE uint32_t top_bits(b32 x) {
  uint32_t bits = 0;
  for (int i = 0; i < 32; ++i) bits |= static_cast<uint32_t>(x[i] >> 7) << i;
  return bits;
}

// --- arithmetic
// -----------------------------------------------------------------------------------------------------------

template <class V>
  requires(SimdVector<V> || __is_same(V, float))
TL_INLINE V fma(V a, V b, V c) {
  return a * b + c;
}
// b where one is NaN.
template <SimdVector V>
TL_INLINE V max(V a, V b) {
  return select(a > b, a, b);
}
template <SimdVector V>
TL_INLINE V min(V a, V b) {
  return select(a < b, a, b);
}
template <SimdVector V>
TL_INLINE V sqrt(V x) {
  for (int i = 0; i < kLanesOf<V>; ++i) {
    if constexpr (sizeof(x[0]) == 4)
      x[i] = __builtin_sqrtf(x[i]);
    else
      x[i] = __builtin_sqrt(x[i]);
  }
  return x;
}
#define TL_EACH_LANE(name, builtin)                             \
  template <SimdVector V>                                       \
  TL_INLINE V name(V x) {                                       \
    for (int i = 0; i < kLanesOf<V>; ++i) x[i] = builtin(x[i]); \
    return x;                                                   \
  }
TL_EACH_LANE(floor, __builtin_floorf)
TL_EACH_LANE(ceil, __builtin_ceilf)
TL_EACH_LANE(trunc, __builtin_truncf)
TL_EACH_LANE(round, __builtin_rintf)
#undef TL_EACH_LANE
// Of |x| < 2^22, to the nearest integer, halves to even.
template <SimdVector V>
TL_INLINE V round_small(V x) {
  return (x + 12582912.f) - 12582912.f;
}
template <SimdVector V>
TL_INLINE Simd<int32_t, kLanesOf<V>> round_to_int(V x) {
  return __builtin_convertvector(round_small(x), Simd<int32_t, kLanesOf<V>>);
}
// To the nearest number from low to high; NaN stays.
template <SimdVector V>
TL_INLINE V between(V x, Number<V> low, Number<V> high) {
  const V below = low - V{}, above = high - V{};
  x = select(x < low, below, x);
  return select(x > high, above, x);
}

// Products of the lower words of each lane.
template <class = void>
TL_INLINE u64x4 multiply_words(u64x4 a, u64x4 b) {
  return (a & 0xffffffff) * (b & 0xffffffff);
}

// --- across lanes, always in the same order
// ----------------------------------------------------------------------------------------

template <SimdVector V>
TL_INLINE float sum(V v) {
  static_assert(kLanesOf<V> == 4 || kLanesOf<V> == 8 || kLanesOf<V> == 16);
  if constexpr (kLanesOf<V> == 4) {
    return (v[0] + v[2]) + (v[1] + v[3]);
  } else {
    typedef Simd<float, kLanesOf<V> / 2> H;
    H half[2];
    memcpy(half, &v, sizeof v);
    return sum(half[0] + half[1]);
  }
}
template <SimdVector V>
TL_INLINE float max_lane(V v) {
  float m = v[0];
  for (int i = 1; i < kLanesOf<V>; ++i) m = v[i] > m ? v[i] : m;
  return m;
}
template <SimdVector V>
TL_INLINE float least_lane(V v) {
  float m = v[0];
  for (int i = 1; i < kLanesOf<V>; ++i) m = v[i] < m ? v[i] : m;
  return m;
}
// The first four of both; the last four of both.
template <SimdVector V>
TL_INLINE V join_low(V a, V b) {
  typedef Simd<Number<V>, 4> H;
  const H both[2] = {load_as<H>(&a), load_as<H>(&b)};
  return load_as<V>(both);
}
template <SimdVector V>
TL_INLINE V join_high(V a, V b) {
  typedef Simd<Number<V>, 4> H;
  const H both[2] = {load_as<H>(reinterpret_cast<const H*>(&a) + 1),
                     load_as<H>(reinterpret_cast<const H*>(&b) + 1)};
  return load_as<V>(both);
}
// Four rows of four.
TL_INLINE void transpose(f32x4* r) {
  const f32x4 a = __builtin_shufflevector(r[0], r[1], 0, 4, 1, 5),
              b = __builtin_shufflevector(r[0], r[1], 2, 6, 3, 7),
              c = __builtin_shufflevector(r[2], r[3], 0, 4, 1, 5),
              d = __builtin_shufflevector(r[2], r[3], 2, 6, 3, 7);
  r[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
  r[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
  r[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
  r[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}
// to[i] = the i-th float of each of 8 lines that are `stride` floats apart.
template <class = void>
TL_INLINE void load_transposed(const float* p, int64_t stride, f32x8* to) {
  f32x4 part[8][2];  // [column][half]
  for (int half = 0; half < 2; ++half) {
    for (int columns = 0; columns < 8; columns += 4) {
      f32x4 r[4];
      for (int i = 0; i < 4; ++i) r[i] = load_as<f32x4>(p + (4 * half + i) * stride + columns);
      transpose(r);
      for (int i = 0; i < 4; ++i) part[columns + i][half] = r[i];
    }
  }
  memcpy(to, part, sizeof part);
}
// Eight rows of eight.
template <class = void>
TL_INLINE void transpose(f32x8* r) {
  float rows[64];
  memcpy(rows, r, sizeof rows);
  load_transposed(rows, 8, r);
}
// a0 + a1, a2 + a3, b0 + b1, b2 + b3, and so on in the second halves.
template <class = void>
TL_INLINE i32x8 add_pairs(i32x8 a, i32x8 b) {
  return __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) +
         __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
}

// --- halves
// ---------------------------------------------------------------------------------------------------------------

template <SimdVector H>
TL_INLINE Simd<uint32_t, kLanesOf<H>> widen(H x) {
  return __builtin_convertvector(x, Simd<uint32_t, kLanesOf<H>>);
}
// Numbers below 2^16.
template <SimdVector U>
TL_INLINE Simd<uint16_t, kLanesOf<U>> narrow(U x) {
  return __builtin_convertvector(x, Simd<uint16_t, kLanesOf<U>>);
}
template <SimdVector H>
TL_INLINE Simd<float, kLanesOf<H>> from_halves(H h) {
  typedef Simd<float, kLanesOf<H>> F;
  typedef Simd<uint32_t, kLanesOf<H>> U;
  // Rebias the exponent by a multiplication, which also makes subnormals right; infinities and NaN
  // keep a full exponent.
  const U x = widen(h), rest = x & 0x7fff;
  U bits = (U)((F)(rest << 13) * 0x1p112f);
  bits |= (U)(rest >= 0x7c00) & 0x7f800000;
  return (F)(bits | (x & 0x8000) << 16);
}
template <SimdVector F>
TL_INLINE Simd<uint16_t, kLanesOf<F>> to_halves(F x) {
  typedef Simd<uint32_t, kLanesOf<F>> U;
  const U bits = (U)x, sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff;
  // Subnormal: the float adder rounds at the right bit.
  const U low = (U)((F)a + 0.5f) - 0x3f000000;
  const U plain = (a + 0xfff + (a >> 13 & 1) - 0x38000000) >> 13;
  U h = select((U)(a < 0x38800000), low, plain);
  h = select((U)(a >= 0x477ff000), U{} + 0x7c00, h);
  h = select((U)(a > 0x7f800000), 0x7e00 | (a >> 13 & 0x3ff), h);
  return narrow(h | sign);
}

template <class T>
  requires __is_same
(T, f16) TL_INLINE float to_float(T h) {
  uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000) << 16, rest = h.bits & 0x7fff;
  uint32_t bits = rest << 13;
  float x;
  memcpy(&x, &bits, 4);
  x *= 0x1p112f;
  memcpy(&bits, &x, 4);
  if (rest >= 0x7c00) bits |= 0x7f800000;
  bits |= sign;
  memcpy(&x, &bits, 4);
  return x;
}
template <class = void>
TL_INLINE f16 to_f16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  uint32_t sign = bits >> 16 & 0x8000, a = bits & 0x7fffffff;
  if (a > 0x7f800000) return {static_cast<uint16_t>(sign | 0x7e00 | (a >> 13 & 0x3ff))};
  if (a >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};
  if (a < 0x38800000) {
    float y;
    memcpy(&y, &a, 4);
    y += 0.5f;
    uint32_t r;
    memcpy(&r, &y, 4);
    return {static_cast<uint16_t>(sign | (r - 0x3f000000))};
  }
  a += 0xfff + (a >> 13 & 1);
  return {static_cast<uint16_t>(sign | ((a - 0x38000000) >> 13))};
}

// --- bytes
// ----------------------------------------------------------------------------------------------------------------

// The eight bytes as numbers.
template <class = void>
TL_INLINE i32x8 signed8(uint64_t bytes) {
  const u64x4 x = u64x4{bytes};
  const i8x32 b = (i8x32)x;
  i32x8 y;
  for (int i = 0; i < 8; ++i) y[i] = b[i];
  return y;
}
template <class = void>
TL_INLINE i32x8 unsigned8(uint64_t bytes) {
  i32x8 y;
  for (int i = 0; i < 8; ++i) y[i] = static_cast<int32_t>(bytes >> 8 * i & 0xff);
  return y;
}
// Of the first eight bytes.
template <class = void>
TL_INLINE i32x8 signed8(b16 x) {
  return signed8(((Simd<uint64_t, 2>)x)[0]);
}
template <class = void>
TL_INLINE i32x8 unsigned8(b16 x) {
  return unsigned8(((Simd<uint64_t, 2>)x)[0]);
}
template <class = void>
TL_INLINE u16x16 unsigned16(b16 x) {
  return __builtin_convertvector(x, u16x16);
}
template <class = void>
TL_INLINE i16x16 signed16(b16 x) {
  return __builtin_convertvector((Simd<int8_t, 16>)x, i16x16);
}
// Numbers of -128 … 127 as bytes, and of 0 … 255.
template <class = void>
TL_INLINE b32 to_bytes(const i32x8* x) {
  b32 y;
  for (int i = 0; i < 32; ++i) y[i] = static_cast<uint8_t>(x[i / 8][i % 8]);
  return y;
}
template <class = void>
TL_INLINE b16 to_bytes(i32x8 a, i32x8 b) {
  b16 y;
  for (int i = 0; i < 16; ++i) y[i] = static_cast<uint8_t>(i < 8 ? a[i] : b[i - 8]);
  return y;
}
// Numbers of 0 … 255: those of x, then those of y.
template <class = void>
TL_INLINE b32 to_bytes(u16x16 x, u16x16 y) {
  b32 both;
  for (int i = 0; i < 32; ++i) both[i] = static_cast<uint8_t>(i < 16 ? x[i] : y[i - 16]);
  return both;
}
// 16 bytes of each; 16 bytes twice.
template <class = void>
TL_INLINE b32 join16(const void* low, const void* high) {
  const b16 both[2] = {load_as<b16>(low), load_as<b16>(high)};
  return load_as<b32>(both);
}
template <class = void>
TL_INLINE b32 twice16(const void* p) {
  return join16(p, p);
}
// x[i] = word i of the 16 bytes at w[row] + at, of eight rows.
template <class = void>
TL_INLINE void four_words(const uint8_t* const* w, int64_t at, u32x8* x) {
  uint32_t rows[4][8];
  for (int row = 0; row < 8; ++row) {
    for (int i = 0; i < 4; ++i) memcpy(&rows[i][row], w[row] + at + 4 * i, 4);
  }
  memcpy(x, rows, sizeof rows);
}
template <class = void>
TL_INLINE b32 join(b16 low, b16 high) {
  const b16 both[2] = {low, high};
  return load_as<b32>(both);
}
// The bytes of a word four times each, and then those of another.
template <class = void>
TL_INLINE b32 repeat_bytes(uint32_t low, uint32_t high) {
  u32x8 x;
  for (int i = 0; i < 8; ++i) x[i] = ((i < 4 ? low : high) >> 8 * (i % 4) & 0xff) * 0x01010101;
  return (b32)x;
}
// The low nibbles of 16 bytes, then their high nibbles.
template <class = void>
TL_INLINE b32 nibbles(const void* p) {
  const b16 x = load_as<b16>(p), both[2] = {x & 15, (b16)((u16x8)x >> 4) & 15};
  return load_as<b32>(both);
}
// Byte i is 0xff where bit i is set, else 0.
template <class = void>
TL_INLINE b32 mask_of_bits(uint32_t bits) {
  auto eight = [=](int i) { return (bits >> 8 * i & 0xff) * 0x0101010101010101ull; };
  const b32 each = (b32)u64x4{eight(0), eight(1), eight(2), eight(3)};
  const b32 one = (b32)(u64x4{} + 0x8040201008040201ull);
  return (b32)((each & one) == one);
}
// The same of 16 bits in each half of x: its number `at` of 16 bits.
template <class = void>
TL_INLINE b32 masks_of_bits(b32 x, int at) {
  const u16x16 words = (u16x16)x;
  return mask_of_bits(words[at] | uint32_t{words[8 + at]} << 16);
}
// table[x], for x from 0 to 15.
template <class = void>
TL_INLINE b32 lookup32(const void* table, b32 x) {
  const auto* t = static_cast<const uint8_t*>(table);
  for (int i = 0; i < 32; ++i) x[i] = t[x[i]];
  return x;
}
TL_INLINE b32 splat32(int x) { return b32{} + static_cast<uint8_t>(x); }
// |x|, 128 for -128; and a with the sign of x, when x is not 0.
template <class = void>
TL_INLINE b32 abs32(b32 x) {
  const b32 sign = (b32)((i8x32)x < 0);
  return (x ^ sign) - sign;
}
template <class = void>
TL_INLINE b32 sign32(b32 a, b32 x) {
  const b32 sign = (b32)((i8x32)x < 0);
  return (a ^ sign) - sign;
}
template <class = void>
TL_INLINE b32 least32(b32 a, b32 b) {
  return select((b32)(a < b), a, b);
}
// a + b, at most 255.
template <class = void>
TL_INLINE b32 add_full(b32 a, b32 b) {
  const b32 s = a + b;
  return s | (b32)(s < a);
}
template <class = void>
TL_INLINE int least_byte(b32 x) {
  int least = 255;
  for (int i = 0; i < 32; ++i) least = x[i] < least ? x[i] : least;
  return least;
}

// --- products of small integers
// -------------------------------------------------------------------------------------------

// Whether the products below take any unsigned byte; else no more than 128.
#ifndef TL_ANY_BYTE
#define TL_ANY_BYTE true
#endif
inline constexpr bool kAnyByte = TL_ANY_BYTE;

// Sums of four neighbours: unsigned w times signed a.
template <SimdVector B>
TL_INLINE Simd<int32_t, sizeof(B) / 4> dot4(B w, B a) {
  typedef Simd<int16_t, sizeof(B) / 2> S;
  typedef Simd<uint16_t, sizeof(B) / 2> U;
  typedef Simd<int32_t, sizeof(B) / 4> I;
  const S even = (S)((U)w & 0xff) * ((S)((U)a << 8) >> 8), odd = (S)((U)w >> 8) * ((S)a >> 8);
  auto pairs = [](S x) { return ((I)x << 16 >> 16) + ((I)x >> 16); };
  return pairs(even) + pairs(odd);
}
// sums[r][t] = Σ of kSteps words (4 bytes) of w in every lane of two tiles, `tile` bytes apart,
// times those of row r of q, the rows 32 bytes apart; w at most kTop.
template <int kTop, int kSteps, int kRows, SimdVector I>
TL_INLINE void tile_dots(const uint8_t* w, int64_t tile, const int8_t* q, I (*sums)[2]) {
  typedef Simd<uint8_t, sizeof(I)> B;
  for (int r = 0; r < kRows; ++r) {
    for (int t = 0; t < 2; ++t) {
      I sum{};
      for (int i = 0; i < kSteps; ++i) {
        int32_t four;
        memcpy(&four, q + 32 * r + 4 * i, 4);
        sum += dot4(load_as<B>(w + t * tile + sizeof(I) * i), (B)(I{} + four));
      }
      sums[r][t] = sum;
    }
  }
}
// Eight rows: x[kHalves·p + h] holds the 16 bytes of half h of rows p and p + 4, and q[h] what they
// are multiplied by: the sum of each row's products. kSigned: weights have signs; else they are at
// most kTop.
template <bool kSigned, int kTop, int kHalves, SimdVector B>
TL_INLINE i32x8 dot_rows(const B* x, const B* q) {
  i32x8 sums[4] = {};
  for (int p = 0; p < 4; ++p) {
    for (int h = 0; h < kHalves; ++h) {
      const b32 w = x[kHalves * p + h], a = q[h];
      sums[p] += kSigned ? dot4(abs32(w), sign32(a, w)) : dot4(w, a);
    }
  }
  return add_pairs(add_pairs(sums[0], sums[1]), add_pairs(sums[2], sums[3]));
}
// Sums of two neighbours in 16 bits: unsigned w times signed a.
template <SimdVector B>
TL_INLINE i16x16 dot2(B w, B a) {
  const u16x16 x = (u16x16)w, y = (u16x16)a;
  return (i16x16)(x & 0xff) * ((i16x16)(y << 8) >> 8) + (i16x16)(x >> 8) * ((i16x16)y >> 8);
}
// x·y, neighbours added.
template <SimdVector V>
TL_INLINE i32x8 dot2_words(V x, V y) {
  const i32x8 a = (i32x8)x, b = (i32x8)y;
  return (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
}
// sum + x·y, neighbours added.
template <class = void>
TL_INLINE i32x8 add_dot2(i32x8 sum, i16x16 x, i16x16 y) {
  return sum + dot2_words(x, y);
}

}  // namespace tl::TL_ISA
