// Maxima and averages over windows of f32 images whose channels lie next to each other: a vector is
// that of neighbouring channels. First down the columns of a window, then along them.
#include "pool.h"

namespace tl::TL_ISA {

bool pool_last_fits(const Windows& w) {
  const View &x = w.x, &out = w.out;
  return x.dtype == DType::f32 && x.shape[1] >= kLanes && x.strides[1] == 1 &&
         out.strides[1] == 1 && x.shape[2] == 1 && out.shape[2] == 1 && w.kernel[0] <= 1 &&
         w.padding[0] == 0;
}

namespace {

constexpr int64_t kBlock = 32;  // channels that are taken together, some more at the end

// `larger` of pool.cpp for all lanes, where any NaN will do: the instruction gives its second
// operand when one is NaN, or both are equal.
struct Greatest {
  static TL_INLINE vf none() { return splat(-__builtin_inff()); }
  static TL_INLINE vf join(vf a, vf b) { return (vf)((vi)max(b, a) | (vi)(b != b)); }
};
struct AddedUp {
  static TL_INLINE vf none() { return vf{}; }
  static TL_INLINE vf join(vf a, vf b) { return a + b; }
};

// kVectors of channels of `count` lines, `step` floats apart, as one.
template <class Op, bool kDivides, int kVectors>
TL_INLINE void join_vectors(const float* from, int64_t step, int64_t count, float divisor,
                            float* to) {
  vf all[kVectors];
  for (int k = 0; k < kVectors; ++k) all[k] = Op::none();
  for (int64_t i = 0; i < count; ++i, from += step) {
    for (int k = 0; k < kVectors; ++k) all[k] = Op::join(all[k], load(from + k * kLanes));
  }
  for (int k = 0; k < kVectors; ++k)
    store(to + k * kLanes, kDivides ? all[k] / splat(divisor) : all[k]);
}

// to = the lines as one, over the divisor if that is asked for; n >= kLanes channels.
template <class Op, bool kDivides>
TL_INLINE void join_lines(const float* from, int64_t step, int64_t count, int64_t n, float divisor,
                          float* to) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= n; c += 4 * kLanes)
    join_vectors<Op, kDivides, 4>(from + c, step, count, divisor, to + c);
  for (; c < n; c += kLanes) {
    c = min64(c, n - kLanes);
    join_vectors<Op, kDivides, 1>(from + c, step, count, divisor, to + c);
  }
}

struct Divisors {
  const float *rows, *columns;  // of results
};

// Some channels of a row of results. `line`: the columns of its windows, each as one.
template <class Op>
void pool_row(const Windows& w, const Divisors& d, int64_t n, int64_t y, int64_t channel,
              int64_t count, float* line) {
  constexpr bool kMean = __is_same(Op, AddedUp);
  const View &x = w.x, &out = w.out;
  const auto length = [](int64_t first, int64_t end, int64_t dilation) {
    return end > first ? ceil_div(end - first, dilation) : 0;
  };
  int64_t y0, y1;
  w.window(1, y, &y0, &y1);
  const int64_t rows = length(y0, y1, w.dilation[1]);
  const float* from = x.ptr<const float>() + n * x.strides[0] + channel;
  if (rows) from += y0 * x.strides[3];
  for (int64_t i = 0; i < x.shape[4]; ++i)
    join_lines<Op, false>(from + i * x.strides[4], w.dilation[1] * x.strides[3], rows, count, 1,
                          line + i * count);
  float* to = out.ptr<float>() + n * out.strides[0] + y * out.strides[3] + channel;
  for (int64_t o = 0; o < out.shape[4]; ++o) {
    int64_t x0, x1;
    w.window(2, o, &x0, &x1);
    const int64_t columns = length(x0, x1, w.dilation[2]);
    join_lines<Op, kMean>(columns ? line + x0 * count : line, w.dilation[2] * count, columns, count,
                          kMean ? d.rows[y] * d.columns[o] : 1, to + o * out.strides[4]);
  }
}

template <class Op>
const char* pool(const Windows& w, const Divisors& d) {
  const int64_t channels = w.x.shape[1], rows = w.out.shape[3], vectors = channels / kLanes;
  const int64_t blocks = max64(1, channels / kBlock), most = kBlock + kBlock + 2 * kLanes;
  int64_t own;
  if (__builtin_mul_overflow(w.x.shape[4], most * int64_t{sizeof(float)}, &own) || own > int64_t{1}
                                                                                             << 40)
    return "pool: out of memory";
  Scratch memory(static_cast<size_t>(own) * num_threads());
  if (!memory.as<float>()) return "pool: out of memory";
  const int64_t work = max64(1, w.x.shape[4] * kBlock * max64(1, w.x.shape[3] / rows));
  parallel_for(w.out.shape[0] * rows * blocks, 1 + 16384 / work,
               [&](int64_t begin, int64_t end, int worker) {
                 float* line = memory.as<float>() + worker * (own / int64_t{sizeof(float)});
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t block = i % blocks, row = i / blocks;
                   const int64_t first = vectors * block / blocks * kLanes;
                   const int64_t last =
                       block + 1 < blocks ? vectors * (block + 1) / blocks * kLanes : channels;
                   pool_row<Op>(w, d, row / rows, row % rows, first, last - first, line);
                 }
               });
  return nullptr;
}

}  // namespace

const char* max_pool_last(const Windows& w) { return pool<Greatest>(w, {}); }
const char* avg_pool_last(const Windows& w, const float* rows, const float* columns) {
  return pool<AddedUp>(w, {rows, columns});
}

}  // namespace tl::TL_ISA
