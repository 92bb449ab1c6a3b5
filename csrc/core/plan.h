// A plan: kernel calls recorded once and replayed without Python. What changes between replays
// lives in arrays that the calls read; everything else (shapes, numbers, buffers) is fixed at
// recording.
#pragma once
#include <deque>
#include <vector>

#include "kernel.h"

namespace tl {

class Plan {
 public:
  // Keeps the arrays alive. `args[i].a` of every array argument points to an Array.
  void add(const Kernel& kernel, const Arg* args, int n);
  // Runs all calls in order; null, or the text of the first error, whose kernel is `*failed`.
  const char* run(const Kernel** failed);
  struct Call {
    const Kernel* kernel;
    size_t first;  // of its arguments
    int n;
  };
  const char* run_one(const Call& call) {
    return call.kernel->fn(args_.data() + call.first, call.n);
  }
  const std::vector<Call>& calls() const { return calls_; }
  size_t size() const { return calls_.size(); }

 private:
  std::vector<Call> calls_;
  std::vector<Arg> args_;
  std::deque<Array> arrays_;  // a deque, because arguments point into it
};

// The plan that this thread's calls are recorded into, or null.
Plan*& recording();

}  // namespace tl
