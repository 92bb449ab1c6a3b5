// The uniform kernel call: named kernels on typed arguments, which say whether they are written.
#pragma once
#include "view.h"

namespace tl {

constexpr int kMaxArgs = 24;  // of one kernel

struct Arg {
  enum Kind : int32_t { none = 0, array = 1, integer = 2, real = 3 };
  Kind kind;
  union {
    const View* a;
    int64_t i;
    double f;
  };
};

// Shapes and dtypes were settled by the caller (the op); a kernel computes. The text it returns
// is an error that only a wrong caller can provoke (for instance a dtype it has no code for); null
// means done.
using KernelFn = const char* (*)(const Arg* args, int n);

struct Kernel {
  const char* name;
  // "out:out x:in mask:in? start:i eps:f": a name and a mode each. Arrays are `in` (read), `out`
  // (written as a whole, whatever they held) or `inout` (read, or written in part), with `?` if
  // they may be none; `i` is an integer, `f` a real. Nothing that is only `in` is ever written.
  const char* signature;
  KernelFn fn;
  // What the signature says: bit i stands for argument i.
  int count;
  uint32_t read, written, optional, reals;
#ifdef TL_INFERENCE
  // What this set leaves to the one below it, so that code is small: arrays of f64 and complex64.
  KernelFn plain;
#endif
};

inline const char* run_kernel(const Kernel& kernel, const Arg* args, int n) {
#ifdef TL_INFERENCE
  for (int i = 0; kernel.plain && i < n; ++i) {
    if (args[i].kind != Arg::array) continue;
    if (args[i].a->dtype == DType::f64 || args[i].a->dtype == DType::complex64)
      return kernel.plain(args, n);
  }
#endif
  return kernel.fn(args, n);
}

// Filled once, at load time, from the plainest instruction set up to the chosen one.
class KernelTable {
 public:
  static constexpr int kCapacity = 512;
  // A name that is there already is replaced: a set registers only what it has better versions of.
  void add(const char* name, const char* signature, KernelFn fn);
  const Kernel* find(const char* name) const;
  const Kernel* begin() const { return rows_; }
  const Kernel* end() const { return rows_ + count_; }

 private:
  int place(const char* name) const;  // in slots_: of this name, or where it would go
  Kernel rows_[kCapacity];
  int count_ = 0;
  int16_t slots_[2 * kCapacity] = {};  // 1 + the place in rows_, by a hash of the name; 0: none
};

const KernelTable& kernels();  // of the CPU; core/device.h has those of others
const char* isa_name();        // "baseline", "avx2", …
// Null, or what is wrong with TALLOW_ISA, TALLOW_NUM_THREADS or TALLOW_BLAS.
const char* environment_error();

// Checks number and kinds of the arguments against the signature, then calls. Null, or the error
// text.
const char* call(const Kernel& kernel, const Arg* args, int n);

}  // namespace tl
