#include "blas.h"

#if defined(TL_INFERENCE) || !__has_include(<dlfcn.h>)

namespace tl {
const Blas* external_blas() { return nullptr; }
const char* blas_error() { return nullptr; }
}  // namespace tl

#else

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tl {
namespace {

struct Library {
  const char* name;
  const char* files[4];
  const char* threads;
};

// The files as distributions and PyPI's packages name them.
constexpr Library kLibraries[] = {
    {"openblas",
     {"libopenblas.so.0", "libopenblas.so", "libopenblas.0.dylib", "libopenblas.dylib"},
     "openblas_set_num_threads"},
    {"mkl", {"libmkl_rt.so.3", "libmkl_rt.so.2", "libmkl_rt.so", nullptr}, "MKL_Set_Num_Threads"},
    {"accelerate",
     {"/System/Library/Frameworks/Accelerate.framework/Accelerate", nullptr, nullptr, nullptr},
     nullptr},
};

// Where packages of a Python environment put libraries: lib/ above site-packages.
void* open_beside(const char* file) {
  Dl_info here;
  if (!dladdr(reinterpret_cast<void*>(&open_beside), &here) || !here.dli_fname) return nullptr;
  char path[4096];
  const size_t length = strlen(here.dli_fname);
  if (length + strlen(file) + 2 > sizeof path) return nullptr;
  memcpy(path, here.dli_fname, length + 1);
  for (int up = 0; up < 4; ++up)
    if (char* slash = strrchr(path, '/')) *slash = 0;
  strcat(strcat(path, "/"), file);
  return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

struct Chosen {
  Blas blas = {};
  char error[256] = "";

  Chosen() {
    const char* asked = getenv("TALLOW_BLAS");
    if (!asked || !*asked || strcmp(asked, "builtin") == 0) return;
    for (const Library& library : kLibraries)
      if (strcmp(asked, library.name) == 0) {
        load(library);
        return;
      }
    snprintf(error, sizeof error,
             "TALLOW_BLAS: expected builtin, openblas, mkl or accelerate, got %.100s", asked);
  }

 private:
  void load(const Library& library) {
    void* found = nullptr;
    for (int i = 0; !found && i < 4 && library.files[i]; ++i) {
      found = dlopen(library.files[i], RTLD_NOW | RTLD_LOCAL);
      if (!found && library.files[i][0] != '/') found = open_beside(library.files[i]);
    }
    void* sgemm = found ? dlsym(found, "cblas_sgemm") : nullptr;
    if (!sgemm) {
      snprintf(error, sizeof error, "TALLOW_BLAS: expected %s with cblas_sgemm, got %s",
               library.files[0], found ? "one without" : "none that can be loaded");
      return;
    }
    blas.name = library.name;
    blas.sgemm = reinterpret_cast<decltype(blas.sgemm)>(sgemm);
    void* threads = library.threads ? dlsym(found, library.threads) : nullptr;
    blas.set_threads = reinterpret_cast<decltype(blas.set_threads)>(threads);
  }
};

const Chosen& chosen() {
  static const Chosen once;
  return once;
}

}  // namespace

const Blas* external_blas() { return chosen().blas.sgemm ? &chosen().blas : nullptr; }
const char* blas_error() { return *chosen().error ? chosen().error : nullptr; }

}  // namespace tl

#endif
