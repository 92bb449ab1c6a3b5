// How close "linear" comes to the machine: decode against read bandwidth, prefill against the float FMA peak, both measured
// in the same run. Rows are the matrices of SmolLM2-135M, one of 4096 × 4096, and the whole model's matrices in order.
// Build and run: bench/native/run.sh bench [baseline|avx2] [dtype…]
#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>

#include "harness.h"

using namespace tl;

namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Median seconds of f() over about `budget` seconds, at least 5 times.
template <class F>
double median(double budget, F f) {
  std::vector<double> times;
  f();
  for (double start = now(); now() - start < budget || times.size() < 5;) {
    double t = now();
    f();
    times.push_back(now() - t);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

volatile float sink;

double read_bandwidth() {
  using namespace TL_ISA;
  static std::vector<float> memory(64 << 20, 1.f);
  double t = median(0.15, [&] {
    parallel_for(64 << 20, 1 << 18, [&](int64_t begin, int64_t end, int) {
      vf s[8] = {};
      for (int64_t i = begin; i < end; i += 8 * kLanes) {
        for (int j = 0; j < 8; ++j) s[j] = s[j] + load(memory.data() + i + j * kLanes);
      }
      for (int j = 1; j < 8; ++j) s[0] = s[0] + s[j];
      sink = sum(s[0]);
    });
  });
  return (64 << 20) * 4.0 / t;
}

double fma_peak() {
  using namespace TL_ISA;
  constexpr int64_t kSteps = 200000;
  int threads = num_threads();
  double t = median(0.1, [&] {
    parallel_for(threads * 4, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t piece = begin; piece < end; ++piece) {
        vf a[12] = {}, x = splat(0.9999f), y = splat(1e-3f);
        for (int j = 0; j < 12; ++j) a[j] = splat(float(j));
        for (int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
          for (int j = 0; j < 12; ++j) a[j] = fma(a[j], x, y);
        }
        for (int j = 1; j < 12; ++j) a[0] = a[0] + a[j];
        sink = sum(a[0]);
      }
    });
  });
  return 2.0 * kLanes * 12 * kSteps * threads * 4 / t;
}

struct Shape {
  const char* name;
  int64_t n, k;
};

std::mt19937 rng(1);

// Enough copies of a matrix that they do not stay in any cache, as in a model.
std::vector<Buffer> copies(DType d, int64_t n, int64_t k) {
  std::vector<Buffer> out;
  out.push_back(random_weights(d, n, k, rng));
  size_t bytes = out[0].bytes.size();
  for (size_t i = 1; i < (size_t{96} << 20) / bytes + 1; ++i) {
    out.emplace_back(d, n, k);
    memcpy(out.back().view.data, out[0].view.data, bytes - 64);
  }
  return out;
}

void row_of(DType d, const Shape& s, bool exact, double bandwidth, double peak) {
  std::vector<Buffer> w = copies(d, s.n, s.k);
  double bytes = double(s.n) * s.k / block_of(d) * bytes_of(d);
  printf("  %-14s %6ld × %-5ld", s.name, long(s.n), long(s.k));
  for (int64_t m : {1, 2, 4, 8, 32, 512}) {
    Buffer x = random_floats(DType::f32, m, s.k, rng), out(DType::f32, m, s.n);
    if (m == 1) {
      double t = median(0.15, [&] {
                   for (Buffer& b : w) call_linear(out.view, x.view, b.view, nullptr, exact);
                 }) /
                 w.size();
      printf(" | m=1 %6.1f GB/s %3.0f%% %7.2f us", bytes / t / 1e9, 100 * bytes / t / bandwidth, t * 1e6);
    } else {
      size_t i = 0;
      double t = median(m == 512 ? 0.15 : 0.03, [&] { call_linear(out.view, x.view, w[i++ % w.size()].view, nullptr, exact); });
      double rate = 2.0 * m * s.n * s.k / t;
      printf(" | m=%ld %5.0f", long(m), rate / 1e9);
      if (m == 512) printf(" GFLOP/s %3.0f%% of FMA", 100 * rate / peak);
    }
  }
  printf("\n");
}

// All matrices of SmolLM2-135M once, in order; the output matrix is q8_0 beside quantised layers and has one row.
void model(DType d, bool exact, double bandwidth, double peak) {
  const Shape layer[] = {{"q", 576, 576}, {"k", 192, 576}, {"v", 192, 576}, {"o", 576, 576}, {"gate", 1536, 576}, {"up", 1536, 576}, {"down", 576, 1536}};
  bool fits = 576 % block_of(d) == 0;
  if (!fits) return;
  std::vector<Buffer> w;
  double bytes = 0, flops = 0;
  for (int i = 0; i < 30; ++i) {
    for (const Shape& s : layer) {
      w.push_back(random_weights(d, s.n, s.k, rng));
      bytes += double(s.n) * s.k / block_of(d) * bytes_of(d);
      flops += 2.0 * s.n * s.k;
    }
  }
  DType head_type = is_block(d) ? DType::q8_0 : d;
  Buffer head = random_weights(head_type, 49152, 576, rng);
  bytes += 49152.0 * 576 / block_of(head_type) * bytes_of(head_type);
  Buffer logits(DType::f32, 1, 49152);
  for (int64_t m : {1, 512}) {
    Buffer x = random_floats(DType::f32, m, 1536, rng), out(DType::f32, m, 1536);
    double t = median(0.6, [&] {
      for (size_t i = 0; i < w.size(); ++i) {
        View xv = x.view, ov = out.view;
        xv.shape[1] = w[i].view.shape[1];
        ov.shape[1] = w[i].view.shape[0];
        call_linear(ov, xv, w[i].view, nullptr, exact);
      }
      View xv = x.view;
      xv.shape[0] = 1;
      xv.shape[1] = 576;
      call_linear(logits.view, xv, head.view, nullptr, exact);
    });
    if (m == 1) printf("  model decode: %.1f MB, %.0f tok/s, %.1f GB/s = %.0f%% of bandwidth\n", bytes / 1e6, 1 / t, bytes / t / 1e9, 100 * bytes / t / bandwidth);
    else printf("  model prefill 512: %.0f tok/s, %.0f GFLOP/s = %.0f%% of FMA peak\n", m / t, m * flops / t / 1e9, 100 * m * flops / t / peak);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Shape shapes[] = {{"k, v", 192, 576}, {"q, o", 576, 576}, {"gate, up", 1536, 576}, {"down", 576, 1536}, {"lm_head", 49152, 576}, {"square", 4096, 4096}};
  struct {
    DType d;
    bool exact;
  } runs[] = {{DType::q4_0, false}, {DType::q4_1, false}, {DType::q8_0, false}, {DType::f16, true}, {DType::q5_0, false}, {DType::q5_1, false}, {DType::q4_k, false}, {DType::q6_k, false}, {DType::bf16, true}, {DType::f32, true}, {DType::q4_0, true}, {DType::q8_0, true}, {DType::q6_k, true}};
  int limit = num_threads();
  bool model_only = getenv("MODEL_ONLY");
  for (int threads : {1, 2}) {
    if (threads > limit || (getenv("THREADS") && atoi(getenv("THREADS")) != threads)) continue;
    set_num_threads(threads);
    for (auto [d, exact] : runs) {
      std::string name = std::string(row(d).name) + (is_block(d) && exact ? "-exact" : "");
      bool chosen = argc < 2;
      for (int i = 1; i < argc; ++i) chosen = chosen || name == argv[i];
      if (!chosen) continue;
      double bandwidth = read_bandwidth(), peak = fma_peak();
      printf("%s, %d thread%s: read bandwidth %.1f GB/s, FMA peak %.0f GFLOP/s\n", name.c_str(), threads, threads > 1 ? "s" : "", bandwidth / 1e9, peak / 1e9);
      if (!model_only) {
        for (const Shape& s : shapes) {
          if (s.k % block_of(d) == 0) row_of(d, s, exact, bandwidth, peak);
        }
      }
      model(d, exact, bandwidth, peak);
      fflush(stdout);
    }
  }
}
