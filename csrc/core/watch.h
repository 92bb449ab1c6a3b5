// Who watches calls, the pool and its memory (core/trace.cpp). Nobody does: a relaxed load each.
#pragma once
#include <atomic>

#include "kernel.h"
#include "steady_threads.h"

namespace tl {

struct Watch {
  // Makes the call. `op`: which op asked for it; null: a plan.
  const char* (*call)(const Kernel& kernel, const Arg* args, int n, const char* op);
  int64_t (*now)();  // nanoseconds
  // The number of the call that this thread is in, 0: none.
  int64_t (*current)();
  // What a thread of the pool did for a call: its pieces, or waiting for the others to end theirs.
  void (*span)(int64_t call, int worker, bool waits, int64_t begin, int64_t end);
  void (*memory)(size_t bytes, bool cached);
  void (*array)(const View& made, Device device);
  // An op that makes a view, or calls other ops, on these arrays.
  void (*op)(const char* kind, const char* name, const View* const* arrays, int n);
  void (*copies)(const char* op);  // what the next copy of this thread is for
};

inline std::atomic<const Watch*> watch{nullptr};

inline const Watch* watching() { return watch.load(std::memory_order_relaxed); }

inline const char* invoke(const Kernel& kernel, const Arg* args, int n, const char* op) {
  const SteadyThreads steady;
  const Watch* w = watching();
  return __builtin_expect(w != nullptr, 0) ? w->call(kernel, args, n, op)
                                           : run_kernel(kernel, args, n);
}

}  // namespace tl
