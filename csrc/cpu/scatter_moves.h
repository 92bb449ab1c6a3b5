// What gather and scatter do with elements and rows of them, for each word, dtype and mode.
#pragma once
#include "reduce.h"

namespace tl::TL_ISA {
namespace {

enum Mode : int64_t { kSet, kAdd, kMultiply, kMax, kMin };

// m times: table[c * ts + index[c * is] * td] meets many[c * ms]. Strides in elements.
using ElementKernel = void (*)(std::byte* table, int64_t ts, int64_t td, const int64_t* index,
                               int64_t is, std::byte* many, int64_t ms, int64_t m);
// m times: table[c * ts] meets many[c * ms].
using RowKernel = void (*)(std::byte* table, int64_t ts, std::byte* many, int64_t ms, int64_t m);

struct MoveKernels {
  ElementKernel elements = nullptr;
  RowKernel row = nullptr;
};

template <class Word>
void gather_elements(std::byte* table, int64_t ts, int64_t td, const int64_t* index, int64_t is,
                     std::byte* many, int64_t ms, int64_t m) {
  const Word* from = reinterpret_cast<const Word*>(table);
  Word* to = reinterpret_cast<Word*>(many);
  // Three moves an element: one at a time, the loop takes a third longer where it lies across two
  // lines of the instruction cache.
  if (ts == 0 && td == 1 && is == 1 && ms == 1) {
#pragma GCC unroll 4
    for (int64_t c = 0; c < m; ++c) to[c] = from[index[c]];
  } else if (ts == 1 && is == 1 && ms == 1) {
#pragma GCC unroll 4
    for (int64_t c = 0; c < m; ++c) to[c] = from[c + index[c] * td];
  } else {
    for (int64_t c = 0; c < m; ++c) to[c * ms] = from[c * ts + index[c * is] * td];
  }
}
template <class Word>
void gather_row(std::byte* table, int64_t ts, std::byte* many, int64_t ms, int64_t m) {
  const Word* from = reinterpret_cast<const Word*>(table);
  Word* to = reinterpret_cast<Word*>(many);
  if (ts == 1 && ms == 1) {
    memmove(to, from, m * sizeof(Word));  // a caller may give what overlaps
    return;
  }
  for (int64_t c = 0; c < m; ++c) to[c * ms] = from[c * ts];
}
template <class Word>
void scatter_elements(std::byte* table, int64_t ts, int64_t td, const int64_t* index, int64_t is,
                      std::byte* many, int64_t ms, int64_t m) {
  Word* to = reinterpret_cast<Word*>(table);
  const Word* from = reinterpret_cast<const Word*>(many);
  for (int64_t c = 0; c < m; ++c) to[c * ts + index[c * is] * td] = from[c * ms];
}
template <class Word>
void scatter_row(std::byte* table, int64_t ts, std::byte* many, int64_t ms, int64_t m) {
  gather_row<Word>(many, ms, table, ts, m);
}

struct Complex {
  float re, im;
};

template <class T, Mode mode>
TL_INLINE T combine(T a, T b) {
  if constexpr (__is_same(T, Complex)) {
    if constexpr (mode == kAdd)
      return {a.re + b.re, a.im + b.im};
    else
      return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  } else if constexpr (mode == kMax) {
    return Max<T>::step(a, b);
  } else if constexpr (mode == kMin) {
    return Min<T>::step(a, b);
  } else {
    using L = typename Conditional<kIsReal<T>, T, uint64_t>::Type;  // integers wrap
    const L x = static_cast<L>(a), y = static_cast<L>(b);
    return static_cast<T>(mode == kAdd ? x + y : x * y);
  }
}
template <class T, Mode mode>
void reduce_elements(std::byte* table, int64_t ts, int64_t td, const int64_t* index, int64_t is,
                     std::byte* many, int64_t ms, int64_t m) {
  T* to = reinterpret_cast<T*>(table);
  const T* from = reinterpret_cast<const T*>(many);
  for (int64_t c = 0; c < m; ++c) {
    T& target = to[c * ts + index[c * is] * td];
    target = combine<T, mode>(target, from[c * ms]);
  }
}
template <class T, Mode mode>
void reduce_row(std::byte* table, int64_t ts, std::byte* many, int64_t ms, int64_t m) {
  T* to = reinterpret_cast<T*>(table);
  const T* from = reinterpret_cast<const T*>(many);
  if (ts == 1 && ms == 1) {
    for (int64_t c = 0; c < m; ++c) to[c] = combine<T, mode>(to[c], from[c]);
    return;
  }
  for (int64_t c = 0; c < m; ++c) to[c * ts] = combine<T, mode>(to[c * ts], from[c * ms]);
}

template <template <class> class Pair>
MoveKernels by_word(DType d) {
  switch (is_block(d) ? 0 : bytes_of(d)) {
    case 1:
      return Pair<uint8_t>::get();
    case 2:
      return Pair<uint16_t>::get();
    case 4:
      return Pair<uint32_t>::get();
    case 8:
      return Pair<uint64_t>::get();
    default:
      return {};
  }
}
template <class Word>
struct Gather {
  static MoveKernels get() { return {gather_elements<Word>, gather_row<Word>}; }
};
template <class Word>
struct Scatter {
  static MoveKernels get() { return {scatter_elements<Word>, scatter_row<Word>}; }
};
template <class T>
MoveKernels reducing(Mode mode) {
  switch (mode) {
    case kAdd:
      return {reduce_elements<T, kAdd>, reduce_row<T, kAdd>};
    case kMultiply:
      return {reduce_elements<T, kMultiply>, reduce_row<T, kMultiply>};
    case kMax:
      return {reduce_elements<T, kMax>, reduce_row<T, kMax>};
    case kMin:
      return {reduce_elements<T, kMin>, reduce_row<T, kMin>};
    default:
      return {};
  }
}
MoveKernels reducing_kernels(DType d, Mode mode) {
  switch (d) {
    case DType::bool_:  // as numbers of one bit: any, all
      return reducing<uint8_t>(mode == kAdd ? kMax : mode == kMultiply ? kMin : mode);
    case DType::u8:
      return reducing<uint8_t>(mode);
    case DType::i8:
      return reducing<int8_t>(mode);
    case DType::i16:
      return reducing<int16_t>(mode);
    case DType::u16:
      return reducing<uint16_t>(mode);
    case DType::i32:
      return reducing<int32_t>(mode);
    case DType::u32:
      return reducing<uint32_t>(mode);
    case DType::i64:
      return reducing<int64_t>(mode);
    case DType::u64:
      return reducing<uint64_t>(mode);
    case DType::f32:
      return reducing<float>(mode);
    case DType::f64:
      return reducing<double>(mode);
    case DType::complex64:
      return mode == kAdd ? MoveKernels{reduce_elements<Complex, kAdd>, reduce_row<Complex, kAdd>}
             : mode == kMultiply
                 ? MoveKernels{reduce_elements<Complex, kMultiply>, reduce_row<Complex, kMultiply>}
                 : MoveKernels{};
    default:
      return {};
  }
}

}  // namespace
}  // namespace tl::TL_ISA
