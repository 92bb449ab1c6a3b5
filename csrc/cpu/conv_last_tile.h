// Parts of convolutions whose result lies channels-last: an axis of the problem, and the sums of
// some pixels and some channels beside each other, over a list of places where each pixel reads.
#pragma once
#include "conv.h"

namespace tl::TL_ISA {

inline constexpr int kPacked = 16;  // output channels of a packed panel, in every set
// Channels are summed by eights, up to three of them: a tile of three leaves none of a result of 24
// channels to a tile of one, which waits for its loads.
inline constexpr int kEight = 8;
// Pixels of a tile, by eights of channels: 12 vectors of sums at most, which stay in registers.
inline constexpr int kTilePixels[] = {0, kLanes >= 8 ? 8 : 4, kLanes >= 8 ? 6 : 3,
                                      kLanes >= 8 ? 4 : 2};
inline constexpr int64_t kTileMost = 8;  // pixels of any tile

// Bounds of strides, offsets and dilations, and of what is computed of them.
inline constexpr int64_t kFar = int64_t{1} << 40, kSpan = int64_t{1} << 60;

// Along one axis. Outputs low … high - 1 read nothing outside x.
struct Axis {
  int64_t out, x, kernel, stride, offset, dilation, low = 0, high = 0;

  const char* settle() {
    if (stride < 1 || stride > kFar || dilation < 1 || dilation > kFar || offset > kFar ||
        offset < -kFar)
      return "conv_last: expected positive strides and dilations, and none beyond 2^40";
    int64_t reach, span;
    if (kernel < 1 || x > kSpan || __builtin_mul_overflow(kernel, dilation, &reach) ||
        __builtin_mul_overflow(out, stride, &span) || max64(reach, span) > kSpan)
      return "conv_last: expected a kernel, and shapes of fewer elements";
    low = min64(out, max64(0, -floor_div(offset, stride)));
    high = floor_div(x - 1 - offset - (kernel - 1) * dilation, stride) + 1;
    high = max64(low, min64(high, out));
    return nullptr;
  }
  // Where tap t of output o reads, or -1.
  int64_t at(int64_t o, int64_t t) const {
    const int64_t i = o * stride + offset + t * dilation;
    return i < x ? max64(i, -1) : -1;
  }
};

// Taps along an axis that lie inside x.
struct Taps {
  int64_t begin = 0, end = 0;
  Taps(const Axis& a, int64_t o) {
    while (begin < a.kernel && a.at(o, begin) < 0) ++begin;
    for (end = begin; end < a.kernel && a.at(o, end) >= 0;) ++end;
  }
};

// Where the sums of a tile begin, and what becomes of them.
struct TileEnd {
  const float* bias;      // of the first channel, padded to whole vectors; zeros: none
  float* out;             // places count from here
  const float* residual;  // the same; null: none
  bool first, last;       // of the parts of the depth: the others add to what was written
  bool clamped;
  float high;
};

// out[place[p] + v] = Σ_k pixels[p][at[k]] · weight[k][v]. A weight's row has kPacked floats; the
// third eight of channels is in the next panel.
template <int kEights>
[[gnu::noinline]] void sum_tile(const float* const* pixels, const int64_t* at, int64_t depth,
                                const float* weight, int64_t panel, const int64_t* place,
                                const TileEnd& e) {
  constexpr int kPixels = kTilePixels[kEights], kVecs = kEights * kEight / kLanes;
  vf sum[kPixels][kVecs];
  const auto each = [&](const auto& f) {
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 6
      for (int v = 0; v < kVecs; ++v) f(sum[p][v], place[p], v * kLanes);
    }
  };
  if (e.first)
    each([&](vf& s, int64_t, int c) { s = load(e.bias + c); });
  else
    each([&](vf& s, int64_t i, int c) { s = load(e.out + i + c); });
  const float* line[kPixels];
#pragma GCC unroll 8
  for (int p = 0; p < kPixels; ++p) line[p] = pixels[p];
  for (int64_t k = 0; k < depth; ++k, weight += kPacked) {
    vf w[kVecs];
#pragma GCC unroll 6
    for (int v = 0; v < kVecs; ++v) {
      const int channel = v * kLanes;
      w[v] = load(weight + channel % kPacked + (channel < kPacked ? 0 : panel));
    }
    const int64_t here = at[k];
#pragma GCC unroll 8
    for (int p = 0; p < kPixels; ++p) {
      const vf x = splat(line[p][here]);
#pragma GCC unroll 6
      for (int v = 0; v < kVecs; ++v) sum[p][v] = fma(x, w[v], sum[p][v]);
    }
  }
  if (e.last && e.residual)
    each([&](vf& s, int64_t i, int c) { s = s + load(e.residual + i + c); });
  if (e.last && e.clamped) each([&](vf& s, int64_t, int) { s = between(s, 0, e.high); });
  each([&](vf& s, int64_t i, int c) { store(e.out + i + c, s); });
}

using TileFn = void (*)(const float* const* pixels, const int64_t* at, int64_t depth,
                        const float* weight, int64_t panel, const int64_t* place, const TileEnd& e);
TL_INLINE TileFn tile_of(int eights) {
  return eights == 1 ? sum_tile<1> : eights == 2 ? sum_tile<2> : sum_tile<3>;
}

// The first `channels` of each pixel's row of floats, between memory with and without others
// behind them.
TL_INLINE void copy_rows(const float* from, const int64_t* from_place, float* to,
                         const int64_t* to_place, int64_t pixels, int64_t channels) {
  for (int64_t p = 0; p < pixels; ++p) {
    const float* row = from + from_place[p];
    float* target = to + to_place[p];
    int64_t c = 0;
    for (; c + 4 <= channels; c += 4) store_at(target + c, load_as<f32x4>(row + c));
    for (; c < channels; ++c) target[c] = row[c];
  }
}

// The same for `count` pixels of a tile, at most, and of its channels the first `channels`. The
// pointers of other pixels are valid, too.
inline void sum_some(int eights, const float* const* pixels, const int64_t* at, int64_t depth,
                     const float* weight, int64_t panel, const int64_t* place, int64_t count,
                     int64_t channels, TileEnd e) {
  float sums[kTileMost * 2 * kPacked], others[kTileMost * 2 * kPacked];
  int64_t row[kTileMost];
  for (int p = 0; p < kTileMost; ++p) row[p] = p * eights * kEight;
  float* out = e.out;
  const auto fill = [&](float* to, const float* from) {  // floats beyond the channels are read, too
    memset(to, 0, sizeof sums);
    copy_rows(from, place, to, row, count, channels);
  };
  if (!e.first) fill(sums, out);
  if (e.residual) fill(others, e.residual);
  e.out = sums;
  e.residual = e.residual ? others : nullptr;
  tile_of(eights)(pixels, at, depth, weight, panel, row, e);
  copy_rows(sums, row, out, place, count, channels);
}

}  // namespace tl::TL_ISA
