// "causal_conv1d": a depthwise convolution over the positions before, which a state remembers.
#include "state_space.h"

namespace tl::TL_ISA {
namespace {

constexpr int64_t kMostTaps = 16, kBlock = 64;  // channels that are computed side by side
static_assert(kBlock % kLanes == 0);

struct Convolution {
  Positions x;
  float *y, *state;  // y (batch, n, channels), state (batch, taps - 1, channels)
  const float *weight, *bias;
  int64_t n, channels, taps;
  bool silu;

  // The input `back` positions before the first of this pass; null where there is none.
  const float* before(int64_t b, int64_t back) const {
    return state ? state + ((b + 1) * (taps - 1) - back) * channels : nullptr;
  }
};

// Channels [first, first + width) of row b, of which `count` positions count.
void block(const Convolution& c, int64_t b, int64_t count, int64_t first, int64_t width) {
  float weights[kMostTaps][kBlock] = {};
  for (int64_t j = 0; j < width; ++j)
    for (int64_t k = 0; k < c.taps; ++k) weights[k][j] = c.weight[(first + j) * c.taps + k];
  for (int64_t t = 0; t < c.n; ++t) {
    float* y = c.y + (b * c.n + t) * c.channels + first;
    if (t >= count) {
      memset(y, 0, static_cast<size_t>(width) * sizeof(float));
      continue;
    }
    const float* rows[kMostTaps];
    for (int64_t k = 0; k < c.taps; ++k) {
      const int64_t at = t - c.taps + 1 + k;
      const float* row = at < 0 ? c.before(b, -at) : c.x.at(b, at);
      rows[k] = row ? row + first : nullptr;
    }
    vectors(width, 0.f, [&](int64_t j, auto get, auto put) {
      vf sum = c.bias ? get(c.bias + first + j) : vf{};
      for (int64_t k = 0; k < c.taps; ++k)
        if (rows[k]) sum = fma(load(weights[k] + j), get(rows[k] + j), sum);
      put(y + j, c.silu ? over_one_plus_exp(sum, -sum) : sum);
    });
  }
  if (!c.state) return;
  const size_t bytes = static_cast<size_t>(width) * sizeof(float);
  for (int64_t i = 0; i < c.taps - 1; ++i) {  // upwards: what is read lies behind
    float* to = c.state + (b * (c.taps - 1) + i) * c.channels + first;
    const int64_t at = count - (c.taps - 1) + i;
    memmove(to, (at < 0 ? c.before(b, -at) : c.x.at(b, at)) + first, bytes);
  }
}

// y x weight bias state counts silu
const char* causal_conv1d(const Arg* args, int) {
  const View &y = *args[0].a, &x = *args[1].a, &weight = *args[2].a;
  if (y.ndim != 3 || weight.ndim != 2) return "causal_conv1d: expected y (b, n, c), weight (c, k)";
  const int64_t b = y.shape[0], n = y.shape[1], channels = y.shape[2], taps = weight.shape[1];
  const Counts counts(args[5], b, n);
  if (taps < 1 || taps > kMostTaps || !fits(y, {b, n, channels}, true) ||
      !fits(x, {b, n, channels}) || !fits(weight, {channels, taps}, true) ||
      !fits_if(args[3], {channels}, true) || !fits_if(args[4], {b, taps - 1, channels}, true) ||
      !counts.good)
    return "causal_conv1d: expected f32 of the sizes of the result, its last axis contiguous";
  const Convolution c{
      Positions(x), y.ptr<float>(), floats(args[4]), weight.ptr<float>(), floats(args[3]), n,
      channels,     taps,           args[6].i != 0};
  const int64_t blocks = (channels + kBlock - 1) / kBlock;
  parallel_for(b * blocks, 1 + 4096 / (1 + n * taps * kBlock / 8),
               [&](int64_t begin, int64_t end, int) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t row = i / blocks, first = i % blocks * kBlock;
                   const int64_t left = channels - first;
                   block(c, row, counts.of(row), first, left < kBlock ? left : kBlock);
                 }
               });
  return nullptr;
}

}  // namespace

void register_causal_conv(KernelTable& t);
void register_causal_conv(KernelTable& t) {
  t.add("causal_conv1d", "y:out x:in weight:in bias:in? state:inout? counts:in? silu:i",
        causal_conv1d);
}

}  // namespace tl::TL_ISA
