#include "call.h"

#include <cstring>

#include "steady_threads.h"

namespace tl {
namespace {

// The masks of a kernel from its signature, word by word; a malformed one ends the process, so that
// the first import after the mistake shows it.
void parse(Kernel& kernel) {
  for (const char* at = kernel.signature; *at; ++kernel.count) {
    const char* mode = strchr(at, ':');
    if (!mode || kernel.count == kMaxArgs) __builtin_trap();
    size_t length = strcspn(++mode, " ");
    at = mode + length + (mode[length] == ' ');
    const uint32_t bit = 1u << kernel.count;
    if (mode[length - 1] == '?') {
      kernel.optional |= bit;
      --length;
    }
    auto is = [=](const char* word) {
      return length == strlen(word) && memcmp(mode, word, length) == 0;
    };
    const bool both = is("inout");
    if (both || is("in")) kernel.read |= bit;
    if (both || is("out")) kernel.written |= bit;
    if (is("f")) kernel.reals |= bit;
    const bool array = ((kernel.read | kernel.written) & bit) != 0;
    if (array ? false : (kernel.optional & bit) || !(is("f") || is("i"))) __builtin_trap();
  }
}

}  // namespace

int KernelTable::place(const char* name) const {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (const char* at = name; *at; ++at) hash = (hash ^ static_cast<uint8_t>(*at)) * 16777619u;
  for (;; ++hash) {
    const int slot = static_cast<int>(hash % (2 * kCapacity));
    if (!slots_[slot] || strcmp(rows_[slots_[slot] - 1].name, name) == 0) return slot;
  }
}

void KernelTable::add(const char* name, const char* signature, KernelFn fn) {
  int16_t& slot = slots_[place(name)];
  if (!slot) {
    if (count_ == kCapacity) __builtin_trap();
    slot = static_cast<int16_t>(++count_);
  }
  Kernel& kernel = rows_[slot - 1];
  [[maybe_unused]] const KernelFn below = kernel.fn;
  kernel = {};
  kernel.name = name;
  kernel.signature = signature;
  kernel.fn = fn;
#ifdef TL_INFERENCE
  kernel.plain = below;
#endif
  parse(kernel);
}

const Kernel* KernelTable::find(const char* name) const {
  const int row = slots_[place(name)];
  return row ? &rows_[row - 1] : nullptr;
}

const char* check_call(const Kernel& kernel, const Arg* args, int n) {
  if (n < kernel.count) return "too few arguments for the kernel's signature";
  if (n > kernel.count) return "too many arguments for the kernel's signature";
  const uint32_t arrays = kernel.read | kernel.written;
  for (int i = 0; i < n; ++i) {
    const auto has = [i](uint32_t mask) { return (mask >> i & 1) != 0; };
    const Arg::Kind got = args[i].kind;
    const bool fits = has(arrays)         ? got == Arg::array && args[i].a
                      : has(kernel.reals) ? got == Arg::real
                                          : got == Arg::integer;
    if (!fits && !(has(kernel.optional) && got == Arg::none))
      return "an argument's kind differs from the kernel's signature";
  }
  return nullptr;
}

const char* call(const Kernel& kernel, const Arg* args, int n) {
  const char* error = check_call(kernel, args, n);
  if (error) return error;
  const SteadyThreads steady;
  return run_kernel(kernel, args, n);
}

}  // namespace tl
