// Depthwise convolution of images whose channels lie next to each other: the problem, and the loop
// over channels of neighbouring pixels.
#pragma once
#include "conv.h"
#include "gemm_linear.h"

namespace tl::TL_ISA {

// Seven divides the widths of most models' images, and leaves registers for seven weights.
inline constexpr int kPixels = 7;

struct DepthwiseLast {
  const float *x, *weight, *bias, *residual;
  float* out;
  int64_t n, c, h, w, out_h, out_w, kh, kw, sy, sx, oy, ox, dy, dx;
  bool clamped = false;
  float high = __builtin_inff();
  LineFn act = nullptr;
};

// Some elements of a kernel's row: their weights, and pixels by column, of which the first is the
// first result's.
struct TapRow {
  const float* const* pixels;
  const float* weight;
};

// Where the results of some pixels go, and what is added to them.
struct Target {
  float* to;
  int64_t step;           // floats between pixels
  const float* residual;  // pixels of the image's channels
  int64_t count;          // of pixels
};

// sum[i] = bias + Σ of elements and pixels, for the vector of channels from c on. The function has
// to be inlined for sums to stay in registers.
template <int kElements, int kStride>
[[gnu::always_inline]] inline void add_rows(const DepthwiseLast& v, const TapRow* rows,
                                            int64_t count, int64_t column, int64_t c,
                                            vf (&sum)[kPixels]) {
  constexpr int kColumns = kStride ? (kPixels - 1) * kStride + kElements : kPixels;
  constexpr int kStep = kStride ? kStride : 1;
  const int64_t channels = v.c;
  sum[0] = v.bias ? load(v.bias + c) : vf{};
#pragma GCC unroll 8
  for (int i = 1; i < kPixels; ++i) sum[i] = sum[0];
  for (int64_t r = 0; r < count; ++r) {
    const float* const* pixel = rows[r].pixels + column;
    const float* w = rows[r].weight + c;
    vf element[kElements];
#pragma GCC unroll 8
    for (int k = 0; k < kElements; ++k) element[k] = load(w + k * channels);
#pragma GCC unroll 32
    for (int j = 0; j < kColumns; ++j) {
      const vf x = load(pixel[kStride ? j : j * v.sx] + c);
#pragma GCC unroll 8
      for (int k = 0; k < kElements; ++k) {
        const int at = j - k;
        if (at >= 0 && at % kStep == 0 && at / kStep < kPixels)
          sum[at / kStep] = fma(element[k], x, sum[at / kStep]);
      }
    }
  }
}

// Channels first … last of up to seven pixels that lie sx columns apart. kElements neighbouring
// elements of a kernel's row at a time; kStride: sx where it is known.
template <int kElements, int kStride>
inline void pixels(const DepthwiseLast& v, const TapRow* rows, int64_t count, int64_t column,
                   int64_t first, int64_t last, const Target& target) {
  // What is written might be what these say, for all that the compiler knows.
  const int64_t channels = v.c, step = target.step, of = target.count;
  const float* residual = target.residual;
  float* to = target.to;
  const bool clamped = v.clamped;
  const float high = v.high;
  for (int64_t c = first;; c = min64(c + kLanes, last - kLanes)) {
    vf sum[kPixels];
    add_rows<kElements, kStride>(v, rows, count, column, c, sum);
#pragma GCC unroll 8
    for (int i = 0; residual && i < kPixels; ++i) {
      if (i < of) sum[i] = sum[i] + load(residual + i * channels + c);
    }
#pragma GCC unroll 8
    for (int i = 0; clamped && i < kPixels; ++i) sum[i] = min(splat(high), max(vf{}, sum[i]));
    if (of == kPixels) {
#pragma GCC unroll 8
      for (int i = 0; i < kPixels; ++i) store(to + i * step + c, sum[i]);
    } else {
#pragma GCC unroll 8
      for (int i = 0; i < kPixels; ++i) {
        if (i < of) store(to + i * step + c, sum[i]);
      }
    }
    if (c + kLanes >= last) return;
  }
}

}  // namespace tl::TL_ISA
