// The kernels of each weight dtype, and the plain floats beside them.
#pragma once
#include "../core/view.h"
#include "simd/simd.h"

namespace tl {

// Eight rows of weights, `bytes` apart.
struct EightRows {
  const uint8_t* first;
  int64_t bytes;
  // Written so that a few registers address all eight.
  TL_INLINE const uint8_t* operator[](int row) const {
    return first + (row & ~3) * bytes + (row & 3) * bytes;
  }
};

// What kernels know of a dtype of weights that are not plain floats; the bytes of a format are read
// by its own functions alone. Units are 32 weights, groups those that share a scale.
struct BlockFormat {
  enum Kind : uint8_t {
    none,     // no small integers: floats() is all there is
    shifted,  // w = d·(q + shift), q from 0 to top
    minimum,  // w = d·q + m, q from 0 to top
    plain,    // w = d·q, q any int8
  };
  Kind kind = none;
  uint8_t top = 0;
  int16_t shift = 0, bytes = 0, units = 0, group = 0;  // bytes and units of a block
  // Whole blocks as floats, bit-equal to the reference of the format.
  void (*unpack)(const BlockFormat&, const uint8_t* blocks, int64_t count, float* out) = nullptr;
  // Whole blocks as the bytes q, and their scales d (and m) with room for 7 more behind them.
  void (*values)(const uint8_t* blocks, int64_t count, uint8_t* q) = nullptr;
  void (*scales)(const uint8_t* blocks, int64_t count, float* d, float* m) = nullptr;

  // The scales of `count` blocks of eight rows, each at w[row] + at: d[8·group + row].
  void (*eight_scales)(const uint8_t* const* w, int64_t at, int64_t count, float* d,
                       float* m) = nullptr;
  // Of common formats, where q has no sign: the bytes of 8 rows of blocks, a word of each beside
  // the others and then the next; the words at a distance of `step` bytes. May be null.
  void (*words)(const uint8_t* const* rows, int64_t count, int64_t step, uint8_t* to) = nullptr;

  int per_unit() const { return group == 32 ? 1 : 2; }  // groups; without a slow division
  int groups() const { return units * per_unit(); }     // of a block
  void floats(const uint8_t* blocks, int64_t count, float* out) const {
    unpack(*this, blocks, count, out);
  }
};

}  // namespace tl

#ifdef TL_BELOW  // this set unpacks as the one below it does
namespace tl::TL_BELOW {
const BlockFormat* block_format(DType dtype);
}
#endif

namespace tl::TL_ISA {

// nullptr for dtypes that are no block format.
#ifdef TL_BELOW
using tl::TL_BELOW::block_format;
#else
const BlockFormat* block_format(DType dtype);
#endif

struct Linear;
struct LinearSeveral;
// `linear` with activations rounded to int8, for weights of a format with values().
const char* linear_int8(const Linear& l, const BlockFormat& format);
// Few rows of x are rounded once.
const char* linear_int8_several(const LinearSeveral& products, const BlockFormat& format);

// The plain dtypes that activations, results and weights come in: f(T{}).
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

}  // namespace tl::TL_ISA
