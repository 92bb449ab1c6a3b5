// The uniform kernel call: named kernels, typed arguments, outputs first and preallocated.
#pragma once
#include "array.h"

namespace tl {

struct Arg {
  enum Kind : int32_t { none = 0, array = 1, integer = 2, real = 3 };
  Kind kind;
  union {
    const View* a;
    int64_t i;
    double f;
  };
};

// Shapes and dtypes were settled by the caller (the op row); a kernel computes. The text it returns
// is an error that only a wrong caller can provoke (for instance a dtype it has no code for); null
// means done.
using KernelFn = const char* (*)(const Arg* args, int n);

struct Kernel {
  const char* name;
  // "out:A x:A mask:A? start:i eps:f": outputs first; A array, A? array or none, i integer, f real.
  const char* signature;
  KernelFn fn;
  int outputs;  // how many leading arguments are written
};

// Filled once, at load time, by the ISA build that the CPU can run.
class KernelTable {
 public:
  static constexpr int kCapacity = 512;
  void add(const char* name, const char* signature, KernelFn fn);
  const Kernel* find(const char* name) const;
  const Kernel* begin() const { return rows_; }
  const Kernel* end() const { return rows_ + count_; }

 private:
  Kernel rows_[kCapacity];
  int count_ = 0;
};

const KernelTable& kernels();
const char* isa_name();  // "baseline", "avx2", …

// Checks number and kinds of the arguments against the signature, then calls. Null, or the error
// text.
const char* call(const Kernel& kernel, const Arg* args, int n);

}  // namespace tl
