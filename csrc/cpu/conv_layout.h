// Images laid out for depthwise convolutions: padded, and a plane for each phase of the stride.
#pragma once
#include <utility>

#include "conv.h"

namespace tl::TL_ISA {

// The phases of a larger stride would hold more zeros than elements.
inline constexpr int kMostStride = 4;

// Elements of a band: its layout for all depth elements should stay near L1.
inline constexpr int64_t kBand = 12288;

// The layout of the input rows behind some output rows: a plane for each (depth element, phase of
// the row, phase of the column), `pitch` elements a row. Output (y, x) is element y·pitch + x,
// kernel element t reads `at[t]` further.
struct Layout {
  int64_t row_phases, column_phases;
  int64_t extra_rows, pitch;  // rows of a plane beyond those of the output
  int64_t most;               // output rows of one band

  explicit Layout(const Conv& v) {
    const View &w = v.weight, &out = v.out;
    row_phases = v.stride[1];
    column_phases = v.stride[2];
    extra_rows = (w.shape[3] - 1) * v.dilation[1] / v.stride[1];
    pitch = out.shape[4] + (w.shape[4] - 1) * v.dilation[2] / v.stride[2];
    const int64_t planes = w.shape[2] * row_phases * column_phases;
    most = min64(out.shape[3], max64(1, kBand / (planes * pitch) - extra_rows));
  }
  // What lays out two phases at once writes up to a vector beyond a line.
  int64_t plane() const { return (most + extra_rows) * pitch + (column_phases == 2 ? kLanes : 0); }
  int64_t flat(int64_t rows, int64_t width) const { return (rows - 1) * pitch + width; }
  // The sums read up to 4 vectors, or 7 rows, beyond the end.
  int64_t size(const Conv& v) const {
    return v.weight.shape[2] * row_phases * column_phases * plane() + 8 * pitch + 128;
  }
  void shifts(const Conv& v, int64_t* at) const {
    for (int64_t z = 0; z < v.weight.shape[2]; ++z) {
      for (int64_t y = 0; y < v.weight.shape[3]; ++y) {
        for (int64_t x = 0; x < v.weight.shape[4]; ++x) {
          const int64_t dy = y * v.dilation[1], dx = x * v.dilation[2];
          const int64_t plane_index =
              (z * row_phases + dy % row_phases) * column_phases + dx % column_phases;
          *at++ = plane_index * plane() + dy / row_phases * pitch + dx / column_phases;
        }
      }
    }
  }
};

// n elements to a place where the rest of a vector may be written.
template <class T>
TL_INLINE void copy_over(const View& x, int64_t from, int64_t step, int64_t n, T* to) {
  if constexpr (__is_same(T, float)) {
    if (x.dtype == DType::f32 && step == 1) {
      const float* p = x.ptr<const float>() + from;
      int64_t i = 0;
      for (; i + kLanes <= n; i += kLanes) store(to + i, load(p + i));
      if (i < n) store(to + i, load_masked(p + i, lanes_between(0, n - i)));
      return;
    }
  }
  copy_line<T>(x, from, step, n, to);
}

// Every second element of the two vectors, from `kFirst` on.
template <int kFirst, int... kLane>
TL_INLINE vf deinterleave(vf a, vf b, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(a, b, (2 * kLane + kFirst)...);
}

// The lanes of two vectors in turns: 2 · kLanes floats.
TL_INLINE void interleave(vf even, vf odd, float* to) {
  constexpr int kEights = ceil_div(kLanes, 8);
  f32x8 a[kEights] = {}, b[kEights] = {};
  memcpy(a, &even, sizeof even);
  memcpy(b, &odd, sizeof odd);
  for (int i = 0; i < kEights; ++i, to += 16) {
    store_at(to, __builtin_shufflevector(a[i], b[i], 0, 8, 1, 9, 2, 10, 3, 11));
    store_at(to + 8, __builtin_shufflevector(a[i], b[i], 4, 12, 5, 13, 6, 14, 7, 15));
  }
}

// The elements 0, 2, … of a line to one line and 1, 3, … to another, even ones at least as many as
// odd ones; the rest of the last vector becomes 0. Lines of one length share the masks of their
// ends.
struct Deinterleave {
  int64_t n, whole;
  vi first, second;

  Deinterleave(int64_t evens, int64_t odds)
      : n(max64(2 * evens - 1, 2 * odds)),
        whole(n / (2 * kLanes) * (2 * kLanes)),
        first(lanes_between(0, n - whole)),
        second(lanes_between(0, n - whole - kLanes)) {}

  TL_INLINE static void put(vf a, vf b, float* even, float* odd) {
    constexpr auto kAll = std::make_integer_sequence<int, kLanes>();
    store(even, deinterleave<0>(a, b, kAll));
    store(odd, deinterleave<1>(a, b, kAll));
  }
  TL_INLINE void line(const float* from, float* even, float* odd) const {
    for (int64_t i = 0; i < whole; i += 2 * kLanes)
      put(load(from + i), load(from + i + kLanes), even + i / 2, odd + i / 2);
    if (whole == n) return;
    const float* rest = from + whole;
    const vf b = n - whole > kLanes ? load_masked(rest + kLanes, second) : vf{};
    put(load_masked(rest, first), b, even + whole / 2, odd + whole / 2);
  }
};

// Lays out what output rows y0 … y0 + rows of depth z read of image n, channel c. `again`: the same
// rows of another channel stand there, so that what is zero is zero already.
template <class T>
void lay_out(const Conv& v, const Layout& l, int64_t n, int64_t c, int64_t z, int64_t y0,
             int64_t rows, bool again, T* to) {
  const View& x = v.x;
  const int64_t width = x.shape[4], image = n * x.strides[0] + c * x.strides[1];
  const int64_t stride = v.stride[2], plane = l.plane();
  // Element i of a line of phase p is input i·stride + offset + p, inside for low <= i < high.
  int64_t lows[kMostStride], highs[kMostStride];
  for (int64_t cp = 0; cp < l.column_phases; ++cp) {
    const int64_t start = v.offset[2] + cp;
    lows[cp] = start < 0 ? ceil_div(-start, stride) : 0;
    highs[cp] = min64(start < width ? ceil_div(width - start, stride) : 0, l.pitch);
    if (lows[cp] >= highs[cp]) lows[cp] = highs[cp] = l.pitch;
  }
  const bool parted = l.column_phases == 2 && x.dtype == DType::f32 && x.strides[4] == 1 &&
                      lows[0] < highs[0] && lows[1] < highs[1];
  const int even = parted && lows[0] > lows[1];  // the phase of the first element
  const int64_t start = parted ? 2 * lows[even] + v.offset[2] + even : 0;
  const Deinterleave parting(parted ? highs[even] - lows[even] : 0,
                             parted ? highs[!even] - lows[!even] : 0);
  for (int64_t kz = 0; kz < v.weight.shape[2]; ++kz) {
    const int64_t iz = z * v.stride[0] + v.offset[0] + kz * v.dilation[0];
    for (int64_t rp = 0; rp < l.row_phases; ++rp) {
      T* first = to + (kz * l.row_phases + rp) * l.column_phases * plane;
      for (int64_t r = 0; r < rows + l.extra_rows; ++r) {
        const int64_t iy = (y0 + r) * v.stride[1] + v.offset[1] + rp;
        const bool inside = iz >= 0 && iz < x.shape[2] && iy >= 0 && iy < x.shape[3];
        const int64_t from = inside ? image + iz * x.strides[2] + iy * x.strides[3] : 0;
        if constexpr (__is_same(T, float)) {
          if (parted && inside) {
            T* line = first + r * l.pitch;
            for (int cp = 0; cp < 2 && !again; ++cp)
              for (int64_t i = 0; i < lows[cp]; ++i) line[cp * plane + i] = 0;
            parting.line(x.ptr<const float>() + from + start, line + even * plane + lows[even],
                         line + !even * plane + lows[!even]);
            for (int cp = 0; cp < 2 && !again; ++cp)
              for (int64_t i = highs[cp]; i < l.pitch; ++i) line[cp * plane + i] = 0;
            continue;
          }
        }
        for (int64_t cp = 0; cp < l.column_phases; ++cp) {
          T* line = first + cp * plane + r * l.pitch;
          const int64_t low = inside ? lows[cp] : l.pitch, high = inside ? highs[cp] : l.pitch;
          if (!again) {
            for (int64_t i = 0; i < low; ++i) line[i] = 0;
          }
          if (low < high) {
            const int64_t start = v.offset[2] + cp + low * stride;
            // Lines are written in the order of memory when there is one phase.
            if (l.column_phases == 1)
              copy_over<T>(x, from + start * x.strides[4], x.strides[4], high - low, line + low);
            else
              copy_line<T>(x, from + start * x.strides[4], stride * x.strides[4], high - low,
                           line + low);
          }
          if (!again || l.column_phases == 1) {
            for (int64_t i = high; i < l.pitch; ++i) line[i] = 0;
          }
        }
      }
    }
  }
}

}  // namespace tl::TL_ISA
