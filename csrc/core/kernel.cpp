#include "kernel.h"

#include <cstring>

namespace tl {
namespace {

// Each word is "name:K", "name:K?" or "name:K!" (the last: an output that is also read or written
// in place).
struct Words {
  const char* at;
  bool next(char* kind, bool* optional) {
    while (*at == ' ') ++at;
    if (!*at) return false;
    const char* colon = strchr(at, ':');
    *kind = colon[1];
    *optional = colon[2] == '?';
    at = colon + 2;
    while (*at && *at != ' ') ++at;
    return true;
  }
};

}  // namespace

void KernelTable::add(const char* name, const char* signature, KernelFn fn) {
  if (count_ == kCapacity) __builtin_trap();
  int outputs = 0;
  for (const char* at = signature; (at = strstr(at, "out")) != nullptr; at += 3) {
    if (at == signature || at[-1] == ' ') ++outputs;
  }
  rows_[count_++] = {name, signature, fn, outputs};
}

const Kernel* KernelTable::find(const char* name) const {
  for (const Kernel& k : *this) {
    if (strcmp(k.name, name) == 0) return &k;
  }
  return nullptr;
}

// Null, or how the arguments differ from the signature; the C ABI asks before it makes the outputs
// writable.
const char* check_call(const Kernel& kernel, const Arg* args, int n);
const char* check_call(const Kernel& kernel, const Arg* args, int n) {
  Words words{kernel.signature};
  char kind;
  bool optional;
  int i = 0;
  for (; words.next(&kind, &optional); ++i) {
    if (i >= n) return "too few arguments for the kernel's signature";
    Arg::Kind got = args[i].kind;
    bool fits = kind == 'A'   ? got == Arg::array && args[i].a
                : kind == 'i' ? got == Arg::integer
                              : got == Arg::real;
    if (!fits && !(optional && got == Arg::none))
      return "an argument's kind differs from the kernel's signature";
  }
  return i == n ? nullptr : "too many arguments for the kernel's signature";
}

const char* call(const Kernel& kernel, const Arg* args, int n) {
  const char* error = check_call(kernel, args, n);
  return error ? error : kernel.fn(args, n);
}

}  // namespace tl
