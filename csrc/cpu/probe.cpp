// What this machine reaches at most in the vectors of this instruction set, all threads at once:
// multiply-adds in registers, and reads of memory.
#include "../core/kernel.h"
#include "../core/parallel.h"
#include "simd/simd.h"

namespace tl::TL_ISA {
namespace {

constexpr int kChains = 12;  // independent, so that none waits for its last result
constexpr int64_t kMostSteps = int64_t{1} << 24;

bool is_number(const View& out) { return out.dtype == DType::f64 && out.size() == 1; }

// What nobody looks at would not be computed.
void look_at(vf v, double& out) {
  if (sum(v) == -1) out = 0;  // it is not
}

// out: the floating-point operations of `steps` rounds on each thread.
const char* probe_fma(const Arg* args, int) {
  const View& out = *args[0].a;
  const int64_t steps = args[1].i, threads = num_threads();
  if (!is_number(out)) return "probe_fma: expected an out of one f64";
  if (steps < 0 || steps > kMostSteps) return "probe_fma: expected at most 2**24 steps";
  double& done = *out.ptr<double>();
  done = 2.0 * kChains * kLanes * static_cast<double>(steps * threads);
  parallel_for(threads, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      vf a[kChains], all = {};
      const vf x = splat(0.999f), y = splat(1e-3f);
      for (int j = 0; j < kChains; ++j)
        a[j] = splat(1.f + static_cast<float>(j));  // else they were one
      for (int64_t i = 0; i < steps; ++i)
#pragma GCC unroll 12
        for (int j = 0; j < kChains; ++j) a[j] = fma(a[j], x, y);
      for (int j = 0; j < kChains; ++j) all = all + a[j];
      look_at(all, done);
    }
  });
  return nullptr;
}

// out: the bytes of x, which are read in order.
const char* probe_read(const Arg* args, int) {
  const View &out = *args[0].a, &x = *args[1].a;
  if (!is_number(out)) return "probe_read: expected an out of one f64";
  if (x.dtype != DType::f32 || !x.contiguous()) return "probe_read: expected a contiguous x of f32";
  constexpr int kAtOnce = 8;
  constexpr int64_t kRound = kAtOnce * kLanes, kPiece = 4096;
  const int64_t rounds = x.size() / kRound;
  double& done = *out.ptr<double>();
  done = static_cast<double>(rounds * kRound) * sizeof(float);
  parallel_for(rounds, kPiece, [&](int64_t begin, int64_t end, int) {
    vf s[kAtOnce] = {};
    for (const float* at = x.ptr<float>() + begin * kRound; begin < end; ++begin, at += kRound)
#pragma GCC unroll 8
      for (int j = 0; j < kAtOnce; ++j) s[j] = s[j] + load(at + j * kLanes);
    for (int j = 1; j < kAtOnce; ++j) s[0] = s[0] + s[j];
    look_at(s[0], done);
  });
  return nullptr;
}

}  // namespace

void register_probe(KernelTable& t);
void register_probe(KernelTable& t) {
  t.add("probe_fma", "out:out steps:i", probe_fma);
  t.add("probe_read", "out:out x:in", probe_read);
}

}  // namespace tl::TL_ISA
