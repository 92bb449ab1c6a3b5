// Calls as a profile keeps them, and as lines of text: TALLOW_TRACE=1 on standard error, else a
// file.
#pragma once
#include <vector>

#include "kernel.h"

namespace tl {

// Null, or what is wrong with TALLOW_TRACE; it is looked at once, when kernels are chosen.
const char* start_trace_lines();

// From here on each call of any thread is kept. False: that is so already.
bool start_trace();
struct Trace {
  // One record after the other; the first word of each is its kind in the low 8 bits and its length
  // in words above them.
  //   0, a call: its number, thread, begin, end (nanoseconds), place in `kernels`, then arguments:
  //   a
  //      word of kind + 256 * dtype + 65536 * axes, and shape and strides, the integer, or the
  //      real's bits. With 128 in the word, the value of a single i64 follows it.
  //   1, work of a thread of the pool, and 2, its wait for others: number of the call, worker,
  //      begin, end
  std::vector<int64_t> words;
  static constexpr int kMostKernels = KernelTable::kCapacity;
  const Kernel* kernels[kMostKernels];
  int count = 0;         // of them
  int64_t left_out = 0;  // records for which there was no room
};
Trace stop_trace();

}  // namespace tl
