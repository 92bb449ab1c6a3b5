// Depthwise convolutions of small images, eight channels at a time: each lane of a vector is a
// channel, so that lines of 7 or 14 results fill it, and one pass lays out, sums and writes.
#pragma once
#include "conv_layout.h"

namespace tl::TL_ISA {

// How images lie in the padded plane of eight channels.
struct Eights {
  int64_t high, wide;         // of the plane: all that kernels of results reach
  int64_t in, out, elements;  // positions of an image, of a result, and of a kernel
  static constexpr int64_t kMostPositions = 1024;  // 32 kB: the plane stays in the nearest cache

  explicit Eights(const Conv& v)
      : high((v.out.shape[3] - 1) * v.stride[1] + (v.weight.shape[3] - 1) * v.dilation[1] + 1),
        wide((v.out.shape[4] - 1) * v.stride[2] + (v.weight.shape[4] - 1) * v.dilation[2] + 1),
        in(v.x.shape[3] * v.x.shape[4]),
        out(v.out_positions()),
        elements(v.weight.shape[3] * v.weight.shape[4]) {}
};

// Lines of 24 results and more fill vectors by themselves.
inline bool eights_fit(const Conv& v) {
  if (v.out.dtype != DType::f32 || v.groups < 8 || v.channels() != 1 || v.out_channels() != 1 ||
      v.x.shape[2] != 1 || v.out.shape[2] != 1 || v.weight.shape[2] != 1 || v.offset[0] != 0 ||
      v.out.shape[4] >= 24 || max64(v.stride[1], v.stride[2]) > 8 ||
      max64(v.dilation[1], v.dilation[2]) > 64 || v.weight.size() > int64_t{1} << 24)
    return false;
  if (v.weight.shape[3] > 16 || v.weight.shape[4] > 16 || v.out_positions() > 1024) return false;
  const Eights e(v);
  // Turning images and results costs two elements' sums each.
  return 2 * (e.in + e.out) <= e.elements * e.out && e.high * e.wide <= Eights::kMostPositions &&
         e.in <= 4096 && e.in >= 8 && v.x.contiguous() && v.weight.contiguous() &&
         v.out.contiguous();
}

// sums[i] = Σ_t plane[at + i·stride + taps[t]]·w[t] for kCount results of a line.
template <int kStride, int kCount>
TL_INLINE void eight_sums(const f32x8* plane, int64_t stride, const int32_t* taps, const f32x8* w,
                          int64_t elements, f32x8* to) {
  if constexpr (kStride > 0) stride = kStride;
  f32x8 sums[kCount] = {};
  for (int64_t t = 0; t < elements; ++t) {
    const f32x8* p = plane + taps[t];
#pragma GCC unroll 8
    for (int i = 0; i < kCount; ++i) sums[i] += p[i * stride] * w[t];
  }
#pragma GCC unroll 8
  for (int i = 0; i < kCount; ++i) to[i] = sums[i];
}

// Lines of a plane's results, from the longest pieces to the shortest.
template <int kStride>
inline void eight_line(const f32x8* plane, int64_t stride, const int32_t* taps, const f32x8* w,
                       int64_t elements, int64_t n, f32x8* to) {
  for (; n >= 8; n -= 8, plane += 8 * stride, to += 8)
    eight_sums<kStride, 8>(plane, stride, taps, w, elements, to);
  if (n & 4) {
    eight_sums<kStride, 4>(plane, stride, taps, w, elements, to);
    plane += 4 * stride, to += 4;
  }
  if (n & 2) {
    eight_sums<kStride, 2>(plane, stride, taps, w, elements, to);
    plane += 2 * stride, to += 2;
  }
  if (n & 1) eight_sums<kStride, 1>(plane, stride, taps, w, elements, to);
}

// to[at[i]] = element i of eight lines of n >= 8 that are `step` floats apart.
inline void lay_eights(const float* from, int64_t step, int64_t n, const int32_t* at, f32x8* to) {
  for (int64_t done = 0; done < n; done += 8) {
    const int64_t i = min64(done, n - 8);  // the last ones once more: nothing lies behind them
    f32x8 r[8];
    load_transposed(from + i, step, r);
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) to[at[i + j]] = r[j];
  }
}

// Eight lines of n floats, `step` apart, from n vectors.
inline void split_eights(const f32x8* from, int64_t n, float* to, int64_t step) {
  int64_t i = 0;
  for (; n - i >= 8; i += 8) {
    f32x8 r[8];
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) r[j] = from[i + j];
    transpose(r);
#pragma GCC unroll 8
    for (int c = 0; c < 8; ++c) memcpy(to + c * step + i, &r[c], sizeof r[c]);
  }
  for (; i < n; ++i) {
    for (int c = 0; c < 8; ++c) to[c * step + i] = from[i][c];
  }
}

// Where elements of an image lie in a plane (behind it: dropped), and what kernel elements add.
inline void eights_places(const Conv& v, const Eights& e, int32_t* place, int32_t* tap) {
  for (int64_t i = 0; i < e.in; ++i) {
    const int64_t y = i / v.x.shape[4] - v.offset[1], x = i % v.x.shape[4] - v.offset[2];
    const bool inside = y >= 0 && y < e.high && x >= 0 && x < e.wide;
    place[i] = static_cast<int32_t>(inside ? y * e.wide + x : e.high * e.wide);
  }
  for (int64_t t = 0; t < e.elements; ++t) {
    const int64_t y = t / v.weight.shape[4], x = t % v.weight.shape[4];
    tap[t] = static_cast<int32_t>(y * v.dilation[1] * e.wide + x * v.dilation[2]);
  }
}

// The memory of a thread: kernels, a plane, results, results by channel, a block that is cut short.
struct EightsMemory {
  f32x8 *w, *plane, *sums, *lines, *cut;

  static int64_t vectors(const Eights& e) {
    return e.elements + e.high * e.wide + 1 + 2 * e.out + e.in + 8;
  }
  EightsMemory(f32x8* at, const Eights& e)
      : w(at),
        plane(w + e.elements),
        sums(plane + e.high * e.wide + 1),
        lines(sums + e.out),
        cut(lines + e.out) {}
};

// Channels c0 … c0 + 7 of an image, fewer at the end.
inline void eights_block(const Conv& v, const Eights& e, int64_t n, int64_t c0,
                         const int32_t* place, const int32_t* tap, const EightsMemory& m) {
  const int64_t count = min64(8, v.groups - c0), wide = v.out.shape[4];
  const float *from = v.x.ptr<const float>() + (n * v.groups + c0) * e.in,
              *weight = v.weight.ptr<const float>() + c0 * e.elements;
  if (count < 8) {
    memcpy(m.cut, from, count * e.in * sizeof(float));
    from = reinterpret_cast<const float*>(m.cut);
  }
  lay_eights(from, e.in, e.in, place, m.plane);
  for (int64_t t = 0; t < e.elements; ++t) {
    for (int64_t c = 0; c < 8; ++c) m.w[t][c] = c < count ? weight[c * e.elements + t] : 0.0f;
  }
  const auto line = v.stride[2] == 1   ? eight_line<1>
                    : v.stride[2] == 2 ? eight_line<2>
                                       : eight_line<0>;
  for (int64_t y = 0; y < v.out.shape[3]; ++y)
    line(m.plane + y * v.stride[1] * e.wide, v.stride[2], tap, m.w, e.elements, wide,
         m.sums + y * wide);
  float* split = reinterpret_cast<float*>(m.lines);
  split_eights(m.sums, e.out, split, e.out);
  const int64_t to = (n * v.groups + c0) * e.out;
  for (int64_t c = 0; c < count; ++c) {
    const float add = v.has_bias ? scalar_at<float>(v.bias, (c0 + c) * v.bias.strides[0]) : 0.0f;
    write_results<float>(v, to + c * e.out, e.out, split + c * e.out, add);
  }
  activate(v, v.out.ptr<float>() + to, count * e.out);
}

inline const char* depthwise_eights(const Conv& v) {
  const Eights e(v);
  const int64_t blocks = ceil_div(v.groups, 8), vectors = EightsMemory::vectors(e);
  Scratch own(vectors * sizeof(f32x8) * num_threads()),
      table((e.in + e.elements) * sizeof(int32_t));
  if (!own.as<char>() || !table.as<char>()) return "conv: out of memory";
  int32_t *place = table.as<int32_t>(), *tap = place + e.in;
  eights_places(v, e, place, tap);
  const int64_t grain = max64(1, 32768 / (8 * (e.out * e.elements + e.in)));
  parallel_for(v.batch() * blocks, grain, [&](int64_t begin, int64_t end, int worker) {
    const EightsMemory mine(own.as<f32x8>() + worker * vectors, e);
    memset(mine.plane, 0, e.high * e.wide * sizeof(f32x8));  // what no image covers stays 0
    for (int64_t i = begin; i < end; ++i)
      eights_block(v, e, i / blocks, i % blocks * 8, place, tap, mine);
  });
  return nullptr;
}

}  // namespace tl::TL_ISA
