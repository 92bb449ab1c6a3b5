// Convolution with few results for each channel (a step of sound, the gate of a channel): panels of
// results would be mostly empty. The weight is read once, as it lies, and its rows are multiplied
// with what all results see.
#include "conv_linear.h"

namespace tl::TL_ISA {
namespace {

// Up to so many results of all images, where this many elements or more are summed for each.
// Panels are better for more; sooner where sums are short, for each costs as much as 80 elements.
constexpr int64_t kMostResults = 12, kDeep = 128, kMostShort = 8;
// Weights of so many elements are not in a near cache when their turn comes: they are asked for
// this many bytes before their use, as in linear_few.cpp.
constexpr int64_t kFarFrom = 16384, kAhead = 8192;
constexpr int kSums = 8;          // at once
constexpr int64_t kWork = 65536;  // multiplications that a thread should get

// One convolution: `depth` elements of x for each of `results`, a line each, zeros up to `pitch`.
struct Few {
  const Conv& v;
  const int64_t depth, pitch, results, positions, rows;
  const float* lines = nullptr;
  const float *weight, *bias;

  explicit Few(const Conv& c)
      : v(c),
        depth(c.channels() * c.kernel_elements()),
        pitch(ceil_div(depth, kLanes) * kLanes),
        results(c.batch() * c.out_positions()),
        positions(c.out_positions()),
        rows(c.out.shape[1]),
        weight(c.weight.ptr<const float>()),
        bias(c.has_bias ? c.bias.ptr<const float>() : nullptr) {}

  // Where result `at` of row 0 stands in out.
  TL_INLINE int64_t place(int64_t at) const {
    return at / positions * rows * positions + at % positions;
  }
  TL_INLINE float bias_of(int64_t row) const { return bias ? bias[row * v.bias.strides[0]] : 0.f; }
};

// What one result sees of an image: all channels of one kernel element, or all kernel elements of a
// row and one channel, whichever are more.
void lay_out_row(const Conv& v, const float* from, int64_t start, float* to) {
  const int64_t width = v.x.shape[4], apart = v.dilation[2], step = apart * v.x.strides[4];
  const int64_t low = start < 0 ? ceil_div(-start, apart) : 0;
  const int64_t high = start < width ? min64(v.weight.shape[4], ceil_div(width - start, apart)) : 0;
  if (low >= high) return;
  const int64_t channels = v.channels(), elements = v.kernel_elements(), c_step = v.x.strides[1];
  from += start * v.x.strides[4];
  if (high - low >= channels) {
    for (int64_t c = 0; c < channels; ++c)
      copy_line(from + c * c_step + low * step, step, high - low, to + c * elements + low);
    return;
  }
  for (int64_t t = low; t < high; ++t) {
    for (int64_t c = 0; c < channels; ++c) to[c * elements + t] = from[c * c_step + t * step];
  }
}

void lay_out(const Few& f, float* to) {
  const Conv& v = f.v;
  memset(to, 0, f.results * f.pitch * sizeof(float));
  for (int64_t i = 0; i < f.results; ++i, to += f.pitch) {
    const int64_t at = i % f.positions, wide = v.out.shape[4], high = v.out.shape[3];
    const int64_t z0 = at / wide / high * v.stride[0] + v.offset[0];
    const int64_t y0 = at / wide % high * v.stride[1] + v.offset[1];
    const float* image = v.x.ptr<const float>() + i / f.positions * v.x.strides[0];
    for (int64_t kz = 0; kz < v.weight.shape[2]; ++kz) {
      const int64_t z = z0 + kz * v.dilation[0];
      if (z < 0 || z >= v.x.shape[2]) continue;
      for (int64_t ky = 0; ky < v.weight.shape[3]; ++ky) {
        const int64_t y = y0 + ky * v.dilation[1];
        if (y < 0 || y >= v.x.shape[3]) continue;
        lay_out_row(v, image + z * v.x.strides[2] + y * v.x.strides[3],
                    at % wide * v.stride[2] + v.offset[2],
                    to + (kz * v.weight.shape[3] + ky) * v.weight.shape[4]);
      }
    }
  }
}

// The sum of the lanes of each.
template <class V>
TL_INLINE void sum_lanes(const V (&sums)[kSums], float* to) {
  if constexpr (kLanes >= 8) {
    f32x8 lanes[kSums];
#pragma GCC unroll 8
    for (int j = 0; j < kSums; ++j) {
      lanes[j] = __builtin_shufflevector(sums[j], sums[j], 0, 1, 2, 3, 4, 5, 6, 7);
      if constexpr (kLanes == 16)
        lanes[j] =
            lanes[j] + __builtin_shufflevector(sums[j], sums[j], 8, 9, 10, 11, 12, 13, 14, 15);
    }
    transpose(lanes);
    store_at(to, ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
                     ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7])));
  } else {
    for (int j = 0; j < kSums; ++j) {
      to[j] = 0;
      for (int lane = 0; lane < kLanes; ++lane) to[j] += sums[j][lane];
    }
  }
}

// to[r · kResults + p] = Σ_i w[r][i] · x[p][i]
template <int kResults, bool kFar>
TL_INLINE void multiply(int64_t depth, const float* const* w, const float* const* x, float* to) {
  vf sums[kSums] = {};
  auto add = [&](int64_t i, auto weight) {
    vf lines[kResults];
#pragma GCC unroll 4
    for (int p = 0; p < kResults; ++p) lines[p] = load(x[p] + i);
#pragma GCC unroll 8
    for (int r = 0; r < kSums / kResults; ++r) {
      if (kFar && i % 16 == 0)
        __builtin_prefetch(reinterpret_cast<const char*>(w[r] + i) + kAhead, 0, 2);
      const vf y = weight(w[r] + i);
#pragma GCC unroll 4
      for (int p = 0; p < kResults; ++p)
        sums[r * kResults + p] = fma(y, lines[p], sums[r * kResults + p]);
    }
  };
  int64_t i = 0;
  for (; i + kLanes <= depth; i += kLanes) add(i, [](const float* p) { return load(p); });
  if (i < depth) {
    const vi rest = lanes_between(0, depth - i);
    add(i, [&](const float* p) { return load_masked(p, rest); });
  }
  sum_lanes(sums, to);
}

// Rows begin … end of results at … at + kResults; of those beyond the last one nothing is written.
template <int kResults, bool kFar>
void some_results(const Few& f, int64_t at, int64_t begin, int64_t end) {
  constexpr int kRows = kSums / kResults;
  const int count = static_cast<int>(min64(kResults, f.results - at));
  const float *x[kResults], *w[kRows];
  float* out[kResults];
  for (int p = 0; p < kResults; ++p) {
    const int64_t result = at + (p < count ? p : 0);
    x[p] = f.lines + result * f.pitch;
    out[p] = f.v.out.ptr<float>() + f.place(result);
  }
  for (int64_t row = begin; row < end; row += kRows) {
    const int some = static_cast<int>(min64(kRows, end - row));
    for (int r = 0; r < kRows; ++r) w[r] = f.weight + (row + (r < some ? r : 0)) * f.depth;
    alignas(32) float sums[kSums];
    multiply<kResults, kFar>(f.depth, w, x, sums);
    for (int r = 0; r < some; ++r) {
      const float add = f.bias_of(row + r);
      for (int p = 0; p < count; ++p)
        out[p][(row + r) * f.positions] = sums[r * kResults + p] + add;
    }
  }
}

void some_rows(const Few& f, int64_t begin, int64_t end) {
  for (int64_t at = 0; at < f.results;) {
    const int64_t left = f.results - at;
    if (left == 1 && f.rows * f.depth >= kFarFrom)
      some_results<1, true>(f, at, begin, end);
    else if (left == 1)
      some_results<1, false>(f, at, begin, end);
    else if (left == 2)
      some_results<2, false>(f, at, begin, end);
    else
      some_results<4, false>(f, at, begin, end);
    at += left <= 2 ? left : 4;
  }
  const Conv& v = f.v;
  const int64_t n = (end - begin) * f.positions;
  for (int64_t image = 0; image < v.batch(); ++image) {
    const int64_t first = (image * f.rows + begin) * f.positions;
    float* line = v.out.ptr<float>() + first;
    if (v.residual || v.clamped) write_clamped(v, first, n, line, -0.0f);  // -0 leaves all as it is
    activate(v, line, n);
  }
}

}  // namespace

bool few_fit(const Conv& v) {
  const int64_t most = v.channels() * v.kernel_elements() < kDeep ? kMostShort : kMostResults;
  if (v.groups != 1 || v.transformed || v.batch() * v.out_positions() > most) return false;
  for (const View* x : {&v.out, &v.x, &v.weight})
    if (x->dtype != DType::f32) return false;
  return v.weight.contiguous() && v.out.contiguous();
}

const char* few_results(const Conv& v) {
  Few f(v);
  Scratch memory(f.results * f.pitch * sizeof(float));
  if (!memory.as<char>()) return "conv: out of memory";
  lay_out(f, memory.as<float>());
  f.lines = memory.as<float>();
  const int64_t grain = ceil_div(kWork, max64(1, f.depth * f.results) * kSums) * kSums;
  parallel_for(f.rows, grain, [&](int64_t begin, int64_t end, int) { some_rows(f, begin, end); });
  return nullptr;
}

}  // namespace tl::TL_ISA
