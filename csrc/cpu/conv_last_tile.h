// The innermost part of convolutions whose result lies channels-last: the sums of some pixels and
// some channels beside each other, over a list of places where each pixel reads.
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
template <int kEights>
void sum_some(const float* const* pixels, const int64_t* at, int64_t depth, const float* weight,
              int64_t panel, const int64_t* place, int64_t count, int64_t channels, TileEnd e) {
  constexpr int kPixels = kTilePixels[kEights], kWidth = kEights * kEight;
  float sums[kPixels * kWidth] = {}, others[kPixels * kWidth] = {};
  int64_t row[kPixels];
  for (int p = 0; p < kPixels; ++p) row[p] = p * kWidth;
  float* out = e.out;
  if (!e.first) copy_rows(out, place, sums, row, count, channels);
  if (e.residual) copy_rows(e.residual, place, others, row, count, channels);
  e.out = sums;
  e.residual = e.residual ? others : nullptr;
  sum_tile<kEights>(pixels, at, depth, weight, panel, row, e);
  copy_rows(sums, row, out, place, count, channels);
}

}  // namespace tl::TL_ISA
