// How many threads a call may use, while others change that.
#pragma once
#include "parallel.h"

namespace tl {

inline constinit thread_local int steady_threads = 0;  // of this thread; 0: as was set last

// While it lives, num_threads() of this thread stays as it is: a kernel takes memory for each
// thread before they come.
class SteadyThreads {
 public:
  SteadyThreads() : before_(steady_threads) {
    if (!before_) steady_threads = num_threads();
  }
  ~SteadyThreads() { steady_threads = before_; }
  SteadyThreads(const SteadyThreads&) = delete;
  SteadyThreads& operator=(const SteadyThreads&) = delete;

 private:
  int before_;
};

}  // namespace tl
