// "selective_scan": the state space of Mamba (arXiv 2312.00752), a step after the other.
//
// Lanes are elements of a channel's state. Blocks of channels are independent of each other, so no
// sum depends on the number of threads, nor on how a sequence is cut into passes.
#include "state_space.h"

namespace tl::TL_ISA {
namespace {

constexpr int64_t kChannels = 16;  // of a block: a line of memory
constexpr int64_t kMostStates = 256;

struct Scan {
  Positions x, dt, b, c;
  float *y, *state;  // y (batch, n, channels), state (batch, channels, size)
  const float *a, *d;
  int64_t n, channels, size;

  int64_t padded() const { return (size + kLanes - 1) / kLanes * kLanes; }
};

// Channels [first, first + width) of a row; h and a (kChannels, padded) are memory of the thread.
void block(const Scan& s, int64_t row, int64_t count, int64_t first, int64_t width, float* h,
           float* a, float* bc) {
  const int64_t padded = s.padded();
  const size_t bytes = static_cast<size_t>(s.size) * sizeof(float);
  memset(h, 0, static_cast<size_t>(kChannels * padded) * sizeof(float));
  memset(a, 0, static_cast<size_t>(kChannels * padded) * sizeof(float));
  for (int64_t j = 0; j < width; ++j) {
    memcpy(a + j * padded, s.a + (first + j) * s.size, bytes);
    if (s.state) memcpy(h + j * padded, s.state + (row * s.channels + first + j) * s.size, bytes);
  }
  for (int64_t t = 0; t < s.n; ++t) {
    float* y = s.y + (row * s.n + t) * s.channels + first;
    if (t >= count) {
      memset(y, 0, static_cast<size_t>(width) * sizeof(float));
      continue;
    }
    const float *x = s.x.at(row, t) + first, *dt = s.dt.at(row, t) + first;
    const float *b = s.b.at(row, t), *c = s.c.at(row, t);
    if (padded != s.size) {
      memcpy(bc, b, bytes), memcpy(bc + padded, c, bytes);
      b = bc, c = bc + padded;
    }
    for (int64_t j = 0; j < width; ++j) {
      const vf step = splat(dt[j]), in = splat(dt[j] * x[j]);
      vf total{};
      for (int64_t i = 0; i < padded; i += kLanes) {
        float* at = h + j * padded + i;
        const vf next = fma(exp(step * load(a + j * padded + i)), load(at), in * load(b + i));
        store(at, next);
        total = fma(next, load(c + i), total);
      }
      y[j] = s.d ? sum(total) + s.d[first + j] * x[j] : sum(total);
    }
  }
  for (int64_t j = 0; s.state && j < width; ++j)
    memcpy(s.state + (row * s.channels + first + j) * s.size, h + j * padded, bytes);
}

// y x dt A B C D state counts
const char* selective_scan(const Arg* args, int) {
  const View &y = *args[0].a, &a = *args[3].a;
  if (y.ndim != 3 || a.ndim != 2) return "selective_scan: expected y (b, n, c), A (c, size)";
  const int64_t b = y.shape[0], n = y.shape[1], channels = y.shape[2], size = a.shape[1];
  const Counts counts(args[8], b, n);
  if (size < 1 || size > kMostStates || !fits(y, {b, n, channels}, true) ||
      !fits(*args[1].a, {b, n, channels}) || !fits(*args[2].a, {b, n, channels}) ||
      !fits(a, {channels, size}, true) || !fits(*args[4].a, {b, n, size}) ||
      !fits(*args[5].a, {b, n, size}) || !fits_if(args[6], {channels}, true) ||
      !fits_if(args[7], {b, channels, size}, true) || !counts.good)
    return "selective_scan: expected f32 of the sizes of the result, its last axis contiguous";
  Scan s{Positions(*args[1].a),
         Positions(*args[2].a),
         Positions(*args[4].a),
         Positions(*args[5].a),
         y.ptr<float>(),
         floats(args[7]),
         a.ptr<float>(),
         floats(args[6]),
         n,
         channels,
         size};
  const int64_t padded = s.padded(), own = (2 * kChannels + 2) * padded;
  Scratch memory(static_cast<size_t>(own * num_threads()) * sizeof(float));
  float* base = memory.as<float>();
  if (!base) return "selective_scan: out of memory";
  memset(base, 0, static_cast<size_t>(own * num_threads()) * sizeof(float));
  const int64_t blocks = (channels + kChannels - 1) / kChannels;
  parallel_for(
      b * blocks, 1 + 8192 / (1 + n * kChannels * padded), [&](int64_t begin, int64_t end, int k) {
        float* h = base + own * k;
        float *a_block = h + kChannels * padded, *bc = a_block + kChannels * padded;
        for (int64_t i = begin; i < end; ++i) {
          const int64_t row = i / blocks, first = i % blocks * kChannels;
          const int64_t left = channels - first;
          block(s, row, counts.of(row), first, left < kChannels ? left : kChannels, h, a_block, bc);
        }
      });
  return nullptr;
}

// y decay x state counts: h = decay * h + x for every channel.
const char* gated_recurrence(const Arg* args, int) {
  const View& y = *args[0].a;
  if (y.ndim != 3) return "gated_recurrence: expected y (b, n, c)";
  const int64_t b = y.shape[0], n = y.shape[1], channels = y.shape[2];
  const Counts counts(args[4], b, n);
  if (!fits(y, {b, n, channels}, true) || !fits(*args[1].a, {b, n, channels}) ||
      !fits(*args[2].a, {b, n, channels}) || !fits_if(args[3], {b, channels}, true) || !counts.good)
    return "gated_recurrence: expected f32 of the sizes of the result, its last axis contiguous";
  const Positions decay(*args[1].a), x(*args[2].a);
  float *out = y.ptr<float>(), *state = floats(args[3]);
  const int64_t blocks = (channels + 63) / 64;
  parallel_for(b * blocks, 1 + 16384 / (1 + n * 64), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / blocks, first = i % blocks * 64, count = counts.of(row);
      const int64_t left = channels - first, width = left < 64 ? left : 64;
      float h[64] = {};
      const size_t bytes = static_cast<size_t>(width) * sizeof(float);
      if (state) memcpy(h, state + row * channels + first, bytes);
      for (int64_t t = 0; t < n; ++t) {
        float* to = out + (row * n + t) * channels + first;
        if (t >= count) {
          memset(to, 0, bytes);
          continue;
        }
        const float *g = decay.at(row, t) + first, *in = x.at(row, t) + first;
        vectors(width, 0.f, [&](int64_t j, auto get, auto put) {
          const vf next = fma(get(g + j), load(h + j), get(in + j));
          store(h + j, next);
          put(to + j, next);
        });
      }
      if (state) memcpy(state + row * channels + first, h, bytes);
    }
  });
  return nullptr;
}

}  // namespace

void register_selective_scan(KernelTable& t);
void register_selective_scan(KernelTable& t) {
  t.add("selective_scan", "y:out x:in dt:in A:in B:in C:in D:in? state:inout? counts:in?",
        selective_scan);
  t.add("gated_recurrence", "y:out decay:in x:in state:inout? counts:in?", gated_recurrence);
}

}  // namespace tl::TL_ISA
