// How close attention comes to the machine: prefill against the f32 FMA peak, decode against the memory read rate, both
// measured in the same run, alternating. Build and run (from the repository root):
//   g++ -std=c++20 -O3 -mavx2 -mfma -Icsrc bench/native/bench_attention.cpp -o /tmp/bench_attention -Lbuild/capi -ltallow …
// or link it with the object files of csrc/core and csrc/cpu. One-thread figures use the thread's CPU time, so that other
// load on the machine does not count; the figures for all threads are wall time, the best of the repetitions.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/kernel.h"
#include "core/parallel.h"

namespace {

double now(bool cpu) {
  timespec t;
  clock_gettime(cpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

typedef float v8 __attribute__((vector_size(32)));

// FLOP/s of one burst of independent multiply-adds on each thread.
double fma_rate(bool cpu, int threads) {
  constexpr int kSteps = 200000, kChains = 12;
  static v8 sink[256];
  double begin = now(cpu);
  tl::parallel_for(threads, 1, [&](int64_t first, int64_t last, int) {
    for (int64_t t = first; t < last; ++t) {
      v8 acc[kChains], a = v8{} + 0.999f, b = v8{} + 1e-6f;
      for (int j = 0; j < kChains; ++j) acc[j] = v8{} + static_cast<float>(j);
      for (int i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
        for (int j = 0; j < kChains; ++j) acc[j] = acc[j] * a + b;
        asm volatile("" : "+x"(b));
      }
      for (int j = 0; j < kChains; ++j) sink[t] += acc[j];
    }
  });
  return 2.0 * 8 * kChains * kSteps * threads / (now(cpu) - begin);
}

double read_rate(bool cpu, const std::vector<float>& x) {
  double begin = now(cpu);
  const int64_t pieces = 64, step = static_cast<int64_t>(x.size()) / pieces / 32 * 32;
  tl::parallel_for(pieces, 1, [&](int64_t first, int64_t last, int) {
    for (int64_t p = first; p < last; ++p) {
      v8 s[4] = {};
      const v8* at = reinterpret_cast<const v8*>(x.data() + p * step);
      for (int64_t i = 0; i < step / 8; i += 4) {
        for (int j = 0; j < 4; ++j) s[j] += at[i + j];
      }
      v8 total = s[0] + s[1] + s[2] + s[3];
      asm volatile("" : : "x"(total));
    }
  });
  return step * pieces * 4.0 / (now(cpu) - begin);
}

struct Case {
  const char* name;
  int64_t n, m, heads, kv_heads, d;
  tl::DType cache;
  bool causal;
};

tl::View view(void* data, tl::DType dtype, std::vector<int64_t> shape) {
  tl::View v;
  v.data = static_cast<std::byte*>(data);
  v.dtype = dtype;
  v.ndim = static_cast<int8_t>(shape.size());
  int64_t stride = 1;
  for (int i = v.ndim - 1; i >= 0; --i) v.shape[i] = shape[i], v.strides[i] = stride, stride *= shape[i];
  return v;
}

tl::Arg arg(const tl::View* v) {
  tl::Arg a;
  a.kind = v ? tl::Arg::array : tl::Arg::none;
  a.a = v;
  return a;
}
tl::Arg arg(double f) {
  tl::Arg a;
  a.kind = tl::Arg::real;
  a.f = f;
  return a;
}
tl::Arg arg(int64_t i) {
  tl::Arg a;
  a.kind = tl::Arg::integer;
  a.i = i;
  return a;
}

void run(const Case& c, int threads, const std::vector<float>& big) {
  tl::set_num_threads(threads);
  const bool cpu = threads == 1;
  const int64_t bytes = tl::bytes_of(c.cache);
  std::vector<float> q(c.heads * c.n * c.d), out(q.size()), k(c.kv_heads * c.m * c.d), v(k.size());
  for (auto* x : {&q, &k, &v}) {
    for (float& e : *x) e = static_cast<float>(rand()) / static_cast<float>(RAND_MAX) - 0.5f;
  }
  if (bytes == 2) {  // any finite halves will do
    for (auto* x : {&k, &v}) {
      auto* h = reinterpret_cast<uint16_t*>(x->data());
      for (size_t i = 0; i < x->size(); ++i) h[i] = static_cast<uint16_t>(0x3000 | (rand() & 0x83ff));
    }
  }
  int64_t start = c.m - c.n;
  tl::View vq = view(q.data(), tl::DType::f32, {1, c.heads, c.n, c.d}), vo = view(out.data(), tl::DType::f32, {1, c.heads, c.n, c.d}),
           vk = view(k.data(), c.cache, {1, c.kv_heads, c.m, c.d}), vv = view(v.data(), c.cache, {1, c.kv_heads, c.m, c.d}),
           vs = view(&start, tl::DType::i64, {1});
  tl::Arg args[] = {arg(&vo), arg(&vq), arg(&vk), arg(&vv), arg(&vs), arg(static_cast<tl::View*>(nullptr)), arg(0.125),
                    arg(static_cast<int64_t>(c.causal)), arg(int64_t{0}), arg(0.0)};
  const tl::Kernel* kernel = tl::kernels().find("attention");
  std::vector<double> times, limits;
  const bool decode = c.n == 1;
  const double read = 2.0 * c.kv_heads * c.m * c.d * bytes;
  const double keys = c.causal ? c.n * (c.m - c.n) + c.n * (c.n + 1) / 2.0 : static_cast<double>(c.n) * c.m;
  const double flops = 4.0 * c.heads * c.d * keys;
  for (int i = 0; i < 15; ++i) {
    limits.push_back(decode ? read_rate(cpu, big) : fma_rate(cpu, threads));
    const int inner = decode ? 20 : 1;
    tl::call(*kernel, args, 10);
    double begin = now(cpu);
    for (int j = 0; j < inner; ++j) {
      if (const char* error = tl::call(*kernel, args, 10)) {
        puts(error);
        exit(1);
      }
    }
    times.push_back((now(cpu) - begin) / inner);
  }
  const double best = *std::min_element(times.begin(), times.end()), limit = *std::max_element(limits.begin(), limits.end());
  const double rate = decode ? read / best : flops / best;
  printf("%-32s threads %d: %9.1f us  %6.1f of %6.1f %s = %3.0f%%\n", c.name, threads, best * 1e6, rate / 1e9, limit / 1e9,
         decode ? "GB/s from memory" : "GFLOP/s", 100 * rate / limit);
}

}  // namespace

int main() {
  const std::vector<float> big(32 << 20, 1.f);
  using enum tl::DType;
  const Case cases[] = {
      {"prefill 512, 9/3 heads, d 64", 512, 512, 9, 3, 64, f32, true},
      {"prefill 512, no causal mask", 512, 512, 9, 3, 64, f32, false},
      {"prefill 512, f16 cache", 512, 512, 9, 3, 64, f16, true},
      {"prefill 512, 32/8 heads, d 128", 512, 512, 32, 8, 128, f32, true},
      {"prefill 2048, 8/8 heads, d 64", 2048, 2048, 8, 8, 64, f32, true},
      {"prefill 16 at 2048", 16, 2064, 9, 3, 64, f32, true},
      {"decode at 64, 9/3 heads, d 64", 1, 64, 9, 3, 64, f32, true},
      {"decode at 1024", 1, 1024, 9, 3, 64, f32, true},
      {"decode at 1024, f16 cache", 1, 1024, 9, 3, 64, f16, true},
      {"decode at 8192", 1, 8192, 9, 3, 64, f32, true},
      {"decode at 8192, 32/8 heads, d 128", 1, 8192, 32, 8, 128, f32, true},
      {"decode at 8192, 8/8, d 128, f16", 1, 8192, 8, 8, 128, f16, true},
  };
  printf("isa %s\n", tl::isa_name());
  for (const Case& c : cases) {
    run(c, 1, big);
    run(c, 2, big);
  }
}
