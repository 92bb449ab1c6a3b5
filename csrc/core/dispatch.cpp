// Fills the table of kernels, once: from the plainest instruction set up, each that this CPU runs
// overrides what it has better versions of. TALLOW_ISA names the last one.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "blas.h"
#include "isa.h"
#include "kernel.h"
#include "parallel.h"
#include "trace.h"

#ifdef TL_HAVE_NEON
#include <sys/auxv.h>
#endif

namespace tl {

namespace baseline {
void register_all(KernelTable& table);
}
#ifdef TL_HAVE_AVX2
namespace avx2 {
void register_all(KernelTable& table);
}
#endif
#ifdef TL_HAVE_AVX512
namespace avx512 {
void register_all(KernelTable& table);
}
#endif
#ifdef TL_HAVE_NEON
namespace neon {
void register_all(KernelTable& table);
}
#endif

namespace {

struct Build {
  const char* name;
  bool (*runs)();
  void (*fill)(KernelTable&);
  bool complete;  // has every kernel: those below need not be registered
  bool chosen;    // without being asked for
};

#ifdef TL_INFERENCE
constexpr bool kComplete = false;  // the plainest set has what need not be fast
#else
constexpr bool kComplete = true;
#endif

// Best last.
const Build kBuilds[] = {
    {"baseline", [] { return true; }, baseline::register_all, true, true},
#ifdef TL_HAVE_AVX2
    {"avx2",
     [] {
       return static_cast<bool>(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                                __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2"));
     },
     avx2::register_all, kComplete, true},
#endif
#ifdef TL_HAVE_NEON
    {"neon",
     [] {
       constexpr unsigned long kDotProd = 1ul << 20, kI8mm = 1ul << 13;  // Linux's HWCAP bits
       return (getauxval(AT_HWCAP) & kDotProd) && (getauxval(AT_HWCAP2) & kI8mm);
     },
     neon::register_all, false, true},
#endif
#if defined(TL_HAVE_AVX512) && defined(TL_AVX512_LOWERED)
    // Compiled to narrower vectors, to be tested where no such CPU is.
    {"avx512", [] { return true; }, avx512::register_all, false, false},
#elif defined(TL_HAVE_AVX512)
    {"avx512",
     [] {
       return static_cast<bool>(
           __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16"));
     },
     avx512::register_all, false, true},
#endif
};

struct Choice {
  KernelTable table;
  const char* name;
  char error[256] = "";

  Choice() {
    const char* asked = getenv("TALLOW_ISA");
    if (asked && !*asked) asked = nullptr;
    const Build *best = nullptr, *first = kBuilds;
    for (const Build& build : kBuilds) {
      if (!build.runs()) continue;
      if (asked ? strcmp(asked, build.name) == 0 : build.chosen) best = &build;
    }
    if (asked && !best) refuse(asked);
    if (!best) best = kBuilds;
    for (const Build* build = kBuilds; build <= best; ++build) {
      if (build->complete && build->runs()) first = build;
    }
    for (const Build* build = first; build <= best; ++build) {
      if (build->runs()) build->fill(table);
    }
    name = best->name;
    if (const char* threads = threads_error(); threads && !*error)
      snprintf(error, sizeof error, "%s%.100s", threads, getenv("TALLOW_NUM_THREADS"));
    if (const char* blas = blas_error(); blas && !*error) snprintf(error, sizeof error, "%s", blas);
    if (const char* trace = start_trace_lines(); trace && !*error)
      snprintf(error, sizeof error, "%s%.100s", trace, getenv("TALLOW_TRACE"));
  }

 private:
  void refuse(const char* asked) {
    size_t n = snprintf(error, sizeof error, "TALLOW_ISA: expected one of");
    for (int i = 0; const char* isa = runnable_isa(i); ++i)
      n += snprintf(error + n, sizeof error - n, "%s %s", i ? "," : "", isa);
    snprintf(error + n, sizeof error - n, ", got %.100s", asked);
  }
};

const Choice& choice() {
  static const Choice once;
  return once;
}

}  // namespace

const KernelTable& kernels() { return choice().table; }
const char* isa_name() { return choice().name; }
const char* runnable_isa(int i) {
  for (const Build& build : kBuilds) {
    if (build.runs() && i-- == 0) return build.name;
  }
  return nullptr;
}
const char* environment_error() { return *choice().error ? choice().error : nullptr; }

}  // namespace tl
