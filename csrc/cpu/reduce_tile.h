// How a tile of neighbouring columns is accumulated, row by row, into totals (reduce.cpp).
#pragma once
#include "reduce.h"

namespace tl::TL_ISA {

inline constexpr int64_t kWidest = 2048;  // columns accumulated at once

template <class W>
TL_INLINE Total pack(W x) {
  Total t;
  if constexpr (__is_same(W, double))
    t.f = x;
  else if constexpr (__is_same(W, int64_t))
    t.i = x;
  else
    t.u = x;
  return t;
}
template <class W>
TL_INLINE W unpack(Total t) {
  if constexpr (__is_same(W, double))
    return t.f;
  else if constexpr (__is_same(W, int64_t))
    return t.i;
  else
    return t.u;
}

// Lanes join totals, or (`first`) become them; compiled once for all dtypes of such lanes.
template <template <class> class Op, class L, class W>
__attribute__((noinline)) void flush_lanes(const L* lanes, int64_t n, bool first, Total* totals) {
  for (int64_t j = 0; j < n; ++j) {
    const W lane = static_cast<W>(lanes[j]);
    totals[j] = pack<W>(first ? lane : Op<W>::step(unpack<W>(totals[j]), lane));
  }
}
template <class L>
__attribute__((noinline)) void fill_lanes(L* lanes, int64_t n, L value) {
  for (int64_t j = 0; j < n; ++j) lanes[j] = value;
}

// Two vectors of neighbouring elements as lanes. Of bf16 they are the even elements and the odd
// ones, which a shift and a mask part; widening takes a shuffle for each vector.
template <class L, class T, class V>
TL_INLINE void load_two(const T* p, V& a, V& b) {
  if constexpr (__is_same(T, bf16)) {
    const vu both = load_as<vu>(p);
    a = (V)(both << 16);
    b = (V)(both & 0xffff0000u);
  } else {
    a = load_lanes<L>(p);
    b = load_lanes<L>(p + Lanes<L>::kWidth);
  }
}
// The lanes of `load_two` in the order of memory again: those of n elements, whole pairs of
// vectors.
template <class L>
__attribute__((noinline)) void interleave_lanes(L* lanes, int64_t n) {
  constexpr int w = Lanes<L>::kWidth;
  for (int64_t j = 0; j < n; j += 2 * w) {
    L both[2 * w];
    for (int i = 0; i < w; ++i) both[2 * i] = lanes[j + i], both[2 * i + 1] = lanes[j + w + i];
    memcpy(lanes + j, both, sizeof both);
  }
}

// Rows a fixed step apart are taken eight or four at a time: a lane is fetched and stored once for
// all of them, and memory is read at several places.
template <template <class> class Op, class T>
void tile_loop(const std::byte* p, StridedIterator<1>& rows, int64_t begin, int64_t end,
               int64_t width, Total* totals) {
  using O = Op<T>;
  using L = typename O::Lane;
  using W = typename O::Accumulator;
  using V = typename Lanes<L>::Vector;
  constexpr int w = Lanes<L>::kWidth;
  const T* base = reinterpret_cast<const T*>(p);
  const int64_t step = rows.ndim == 1 ? rows.strides[0][0] : 0, paired = width / (2 * w) * (2 * w);
  alignas(64) L lanes[kWidest];
  int64_t r = begin;
  do {
    const int64_t stop = r + kFlush < end ? r + kFlush : end;
    const bool first = r == begin;
    fill_lanes<L>(lanes, width, O::kInit);
    while (rows.ndim == 1 && r + 4 <= stop) {
      const T* from = base + r * step;
      const int64_t fours = r + 8 <= stop ? 2 : 1;
      for (int64_t j = 0; j < paired; j += 2 * w) {
        auto* lane = reinterpret_cast<V*>(lanes + j);
        V low = lane[0], high = lane[1];
        for (int64_t k = 0; k < fours; ++k) {
          const T* at = from + 4 * k * step + j;
          V a, b, c, d, e, f, g, h;
          load_two<L>(at, a, e);
          load_two<L>(at + step, b, f);
          load_two<L>(at + 2 * step, c, g);
          load_two<L>(at + 3 * step, d, h);
          low = O::step(low, O::step(O::step(a, b), O::step(c, d)));
          high = O::step(high, O::step(O::step(e, f), O::step(g, h)));
        }
        lane[0] = low;
        lane[1] = high;
      }
      for (int64_t j = paired; j < width; ++j) {
        for (int64_t i = 0; i < 4 * fours; ++i)
          lanes[j] = O::step(lanes[j], static_cast<L>(value(from[j + i * step])));
      }
      r += 4 * fours;
    }
    if (r < stop) rows.seek(r);
    for (; r < stop; ++r, rows.next()) {
      const T* from = base + rows.offset[0];
      for (int64_t j = 0; j < paired; j += 2 * w) {
        auto* lane = reinterpret_cast<V*>(lanes + j);
        V a, b;
        load_two<L>(from + j, a, b);
        lane[0] = O::step(lane[0], a);
        lane[1] = O::step(lane[1], b);
      }
      for (int64_t j = paired; j < width; ++j)
        lanes[j] = O::step(lanes[j], static_cast<L>(value(from[j])));
    }
    if constexpr (__is_same(T, bf16)) interleave_lanes(lanes, paired);
    flush_lanes<Op, L, W>(lanes, width, first, totals);
  } while (r < end);
}

}  // namespace tl::TL_ISA
