// One persistent pool of threads: spin, then park; sized by affinity and cgroup quota; rebuilt
// after fork.
#pragma once
#include <cstdint>

namespace tl {

int num_threads();  // TALLOW_NUM_THREADS, or what affinity and quota grant
// Null, or the beginning of a sentence that ends with the text of TALLOW_NUM_THREADS.
const char* threads_error();
void set_num_threads(int n);  // n < 1 restores the default

// Runs fn(context, begin, end, worker) over [0, n) in pieces of `grain`; worker is in [0,
// num_threads()). Each thread starts with a share of neighbouring pieces and helps others when it
// is done, so an interrupted thread does not hold them up. Nested calls run on the calling thread
// (as worker 0). Memory written by the pieces is visible to the caller afterwards.
using RangeFn = void (*)(void* context, int64_t begin, int64_t end, int worker);
void parallel_range(int64_t n, int64_t grain, RangeFn fn, void* context);

// fn(begin, end, worker)
template <class F>
inline void parallel_for(int64_t n, int64_t grain, const F& fn) {
  parallel_range(
      n, grain,
      [](void* context, int64_t begin, int64_t end, int worker) {
        (*static_cast<const F*>(context))(begin, end, worker);
      },
      const_cast<void*>(static_cast<const void*>(&fn)));
}

}  // namespace tl
