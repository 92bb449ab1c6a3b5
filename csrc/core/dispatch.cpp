// Picks, once, the widest ISA build of the kernels that this CPU can run; TALLOW_ISA forces one.
#include <cstdlib>
#include <cstring>

#include "kernel.h"

namespace tl {

namespace baseline {
void register_all(KernelTable& table);
}
#ifdef TL_HAVE_AVX2
namespace avx2 {
void register_all(KernelTable& table);
}
#endif

namespace {

struct Build {
  const char* name;
  bool (*runs)();
  void (*fill)(KernelTable&);
};

// Best last.
const Build kBuilds[] = {
    {"baseline", [] { return true; }, baseline::register_all},
#ifdef TL_HAVE_AVX2
    {"avx2",
     [] {
       return static_cast<bool>(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                                __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2"));
     },
     avx2::register_all},
#endif
};

struct Choice {
  KernelTable table;
  const char* name;
  Choice() {
    const Build* best = kBuilds;
    const char* forced = getenv("TALLOW_ISA");
    for (const Build& build : kBuilds) {
      if (!build.runs()) continue;
      if (!forced || strcmp(forced, build.name) == 0) best = &build;
    }
    name = best->name;
    best->fill(table);
  }
};

const Choice& choice() {
  static const Choice once;
  return once;
}

}  // namespace

const KernelTable& kernels() { return choice().table; }
const char* name_of(Device device) { return device.type == Device::meta ? "meta" : "cpu"; }
const char* isa_name() { return choice().name; }

}  // namespace tl
