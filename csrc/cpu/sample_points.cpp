// Weighted sums of pixels: "sample_grid" (bilinear, at the points of a grid) and "gather_sum" (at
// given places). Places and weights are found once for all channels; of many channels the pixels
// lie with channels last, so that vectors are loaded.
#include "norm_rows.h"
#include "overlap.h"

namespace tl::TL_ISA {
namespace {

constexpr int64_t kPoints = 512;               // of a grid, whose places lie in memory at once
constexpr int64_t kPixels = int64_t{1} << 24;  // of an image: f32 holds their coordinates
constexpr float kFarAway = 1 << 25;            // outside of all images

// out[c, p] = Σ over taps t of weight[t, p] · x[c, index[t, p]].
struct Taps {
  const int32_t* index;
  const float* weight;
  int64_t step, count, points;  // from one tap to the next
};

template <int kChannels>
TL_INLINE void add_taps(const Taps& taps, const float* x, int64_t plane, float* out, int64_t to) {
  for (int64_t p = 0; p < taps.points; ++p) {
    float sums[kChannels] = {};
    for (int64_t t = 0; t < taps.count; ++t) {
      const float w = taps.weight[t * taps.step + p];
      const float* from = x + taps.index[t * taps.step + p];
      for (int c = 0; c < kChannels; ++c) sums[c] += w * from[c * plane];
    }
    for (int c = 0; c < kChannels; ++c) out[c * to + p] = sums[c];
  }
}

void all_channels(const Taps& taps, const float* x, int64_t plane, int64_t channels, float* out,
                  int64_t to) {
  int64_t c = 0;
  for (; c + 4 <= channels; c += 4) add_taps<4>(taps, x + c * plane, plane, out + c * to, to);
  for (; c < channels; ++c) add_taps<1>(taps, x + c * plane, plane, out + c * to, to);
}

// The same of pixels with channels last, in tiles that are turned around.
void all_channels_last(const Taps& taps, const float* x, int64_t channels, float* out, int64_t to) {
  constexpr int64_t kTile = 32, kWidth = 64;
  float tile[kTile * kWidth];
  for (int64_t first = 0; first < channels; first += kWidth) {
    const int64_t width = channels - first < kWidth ? channels - first : kWidth;
    for (int64_t begin = 0; begin < taps.points; begin += kTile) {
      const int64_t n = taps.points - begin < kTile ? taps.points - begin : kTile;
      for (int64_t p = 0; p < n; ++p) {
        auto sum = [&]<int kVectors>(int64_t c) {
          vf sums[kVectors] = {};
          for (int64_t t = 0; t < taps.count; ++t) {
            const int64_t at = t * taps.step + begin + p;
            const vf w = splat(taps.weight[at]);
            const float* from = x + taps.index[at] * channels + first + c;
            for (int k = 0; k < kVectors; ++k) sums[k] = fma(w, load(from + k * kLanes), sums[k]);
          }
          for (int k = 0; k < kVectors; ++k) store(tile + p * kWidth + c + k * kLanes, sums[k]);
        };
        int64_t c = 0;
        for (; c + 4 * kLanes <= width; c += 4 * kLanes) sum.template operator()<4>(c);
        for (; c + kLanes <= width; c += kLanes) sum.template operator()<1>(c);
        for (; c < width; ++c) {
          float one = 0;
          for (int64_t t = 0; t < taps.count; ++t) {
            const int64_t at = t * taps.step + begin + p;
            one = __builtin_fmaf(taps.weight[at], x[taps.index[at] * channels + first + c], one);
          }
          tile[p * kWidth + c] = one;
        }
      }
      for (int64_t c = 0; c < width; ++c) {
        for (int64_t p = 0; p < n; ++p) out[(first + c) * to + begin + p] = tile[p * kWidth + c];
      }
    }
  }
}

void sum_pixels(const Taps& taps, const float* x, int64_t plane, int64_t channels, bool last,
                float* out, int64_t to) {
  if (last)
    all_channels_last(taps, x, channels, out, to);
  else
    all_channels(taps, x, plane, channels, out, to);
}

bool is_floats(const View& x) { return x.dtype == DType::f32 && x.contiguous(); }

// One axis of a grid.
struct Axis {
  float length, span, shift;  // place = ((grid + 1) · span - shift) / 2
  bool border;
  Axis(int64_t n, bool corners, bool at_border)
      : length(static_cast<float>(n)),
        span(corners ? length - 1 : length),
        shift(corners ? 0 : 1),
        border(at_border) {}
  // The neighbours of a point, and their weights: 0 outside.
  TL_INLINE void neighbours(float at, float* low, float* high, float* near, float* far) const {
    at = ((at + 1) * span - shift) * 0.5f;
    at = at > -kFarAway ? at : -kFarAway;  // NaN, too
    at = at < kFarAway ? at : kFarAway;
    const float last = length - 1;
    if (border) at = at < 0 ? 0 : at > last ? last : at;
    const float whole = __builtin_floorf(at), part = at - whole;
    *near = whole >= 0 && whole <= last ? 1 - part : 0;
    *far = whole >= -1 && whole < last ? part : 0;
    *low = whole < 0 ? 0 : whole > last ? last : whole;
    *high = whole < -1 ? 0 : whole + 1 > last ? last : whole + 1;
  }
};

// The places and weights of some points of a grid, those of a tap kPoints apart.
void places_of(const float* at, int64_t n, const Axis& tall, const Axis& wide, int32_t* index,
               float* weight) {
  const int32_t columns = static_cast<int32_t>(wide.length);
  for (int64_t p = 0; p < n; ++p) {
    float y[2], z[2], v[2], w[2];
    wide.neighbours(at[2 * p], z, z + 1, w, w + 1);
    tall.neighbours(at[2 * p + 1], y, y + 1, v, v + 1);
    for (int t = 0; t < 4; ++t) {
      index[t * kPoints + p] =
          static_cast<int32_t>(y[t / 2]) * columns + static_cast<int32_t>(z[t % 2]);
      weight[t * kPoints + p] = v[t / 2] * w[t % 2];
    }
  }
}

const char* sample_grid(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &grid = *args[2].a;
  const bool last = args[5].i != 0;
  const int channel = last ? 3 : 1, row = last ? 1 : 2;
  if (out.ndim != 3 || x.ndim != 4 || grid.ndim != 3 || grid.shape[2] != 2 ||
      out.shape[0] != x.shape[0] || out.shape[1] != x.shape[channel] ||
      grid.shape[0] != x.shape[0] || out.shape[2] != grid.shape[1] || !is_floats(out) ||
      !is_floats(x) || !is_floats(grid))
    return "sample_grid: expected contiguous f32 out (b, c, points), x (b, c, h, w), or with "
           "channels last, and grid (b, points, 2)";
  const int64_t channels = x.shape[channel], rows = x.shape[row], columns = x.shape[row + 1];
  const int64_t points = grid.shape[1], plane = rows * columns;
  if (out.size() == 0) return nullptr;
  if (rows < 1 || columns < 1 || rows > kPixels / columns)
    return "sample_grid: expected an image of 1 to 2^24 pixels";
  const Axis tall(rows, args[4].i != 0, args[3].i != 0);
  const Axis wide(columns, args[4].i != 0, args[3].i != 0);
  const int64_t cuts = (points + kPoints - 1) / kPoints;
  parallel_for(x.shape[0] * cuts, 1 + 8192 / (kPoints * channels), [&](int64_t b, int64_t e, int) {
    int32_t index[4 * kPoints];
    float weight[4 * kPoints];
    for (int64_t i = b; i < e; ++i) {
      const int64_t image = i / cuts, first = i % cuts * kPoints;
      const int64_t n = points - first < kPoints ? points - first : kPoints;
      places_of(grid.ptr<float>() + (image * points + first) * 2, n, tall, wide, index, weight);
      sum_pixels({index, weight, kPoints, 4, n}, x.ptr<float>() + image * channels * plane, plane,
                 channels, last, out.ptr<float>() + image * channels * points + first, points);
    }
  });
  return nullptr;
}

// Whether all images and places are there.
const char* check_places(const View& image, const View& index, int64_t images, int64_t pixels) {
  for (int64_t i = 0; i < image.size(); ++i) {
    const int64_t at = image.ptr<int64_t>()[i];
    if (at < 0 || at >= images)
      return fail("gather_sum: expected images from 0 to %lld, got %lld",
                  static_cast<long long>(images - 1), static_cast<long long>(at));
  }
  int32_t low = 0, high = -1;
  for (int64_t i = 0; i < index.size(); ++i) {
    const int32_t at = index.ptr<int32_t>()[i];
    low = at < low ? at : low, high = at > high ? at : high;
  }
  return low < 0 || high >= pixels ? "gather_sum: expected places inside an image" : nullptr;
}

const char* gather_sum(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a, &image = *args[2].a;
  const View &index = *args[3].a, &weight = *args[4].a;
  const bool last = args[5].i != 0;
  if (out.ndim != 3 || x.ndim != 3 || image.ndim != 1 || index.ndim != 3 || weight.ndim != 3 ||
      image.shape[0] != out.shape[0] || out.shape[1] != x.shape[last ? 2 : 1] ||
      index.shape[1] != out.shape[0] || index.shape[2] != out.shape[2] ||
      weight.shape[0] != index.shape[0] || weight.shape[1] != index.shape[1] ||
      weight.shape[2] != index.shape[2] || !is_floats(out) || !is_floats(x) || !is_floats(weight) ||
      index.dtype != DType::i32 || image.dtype != DType::i64 || !image.contiguous() ||
      !index.contiguous())
    return "gather_sum: expected contiguous f32 out (n, c, points), x (images, c, pixels), or with "
           "channels last, i64 image (n), i32 index and f32 weight (taps, n, points)";
  if (may_overlap(out, image) || may_overlap(out, index))
    return "gather_sum: expected images and places that are no part of out";
  const int64_t n = out.shape[0], channels = out.shape[1], points = out.shape[2];
  const int64_t plane = x.shape[last ? 1 : 2];
  if (const char* error = check_places(image, index, x.shape[0], plane)) return error;
  parallel_for(n, 1 + 8192 / (1 + points * channels), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const Taps taps{index.ptr<int32_t>() + i * points, weight.ptr<float>() + i * points,
                      n * points, index.shape[0], points};
      const float* from = x.ptr<float>() + image.ptr<int64_t>()[i] * channels * plane;
      sum_pixels(taps, from, plane, channels, last, out.ptr<float>() + i * channels * points,
                 points);
    }
  });
  return nullptr;
}

}  // namespace

void register_sample_points(KernelTable& t);
void register_sample_points(KernelTable& t) {
  t.add("sample_grid", "out:out x:in grid:in border:i corners:i last:i", sample_grid);
  t.add("gather_sum", "out:out x:in image:in index:in weight:in last:i", gather_sum);
}

}  // namespace tl::TL_ISA
