// How many threads of the pool are worth having while other processes want their cores.
#pragma once
#ifdef __linux__
#include <sys/resource.h>
#include <time.h>
#endif

#include <cstdint>

namespace tl {

// Threads that wait for each other are slower than one when others take their cores: each goes on
// only while all have one. That shows in how often the caller loses its core, and in how long it
// waits for workers that have lost theirs. Then one thread less takes part, for a time that doubles
// with each failure to come back. Used by one caller at a time.
class Contention {
 public:
  static int64_t now() {  // nanoseconds
#ifdef __linux__
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
#else
    return 0;
#endif
  }

  // How many of `threads` take part in the next job.
  int allowed(int threads) {
    if (allowed_ < 1 || threads != threads_) {
      allowed_ = threads_ = threads;
      start(now());
    }
#ifdef __linux__
    if (--jobs_ <= 0) look();
#endif
    return allowed_;
  }

  // The caller has waited for so long for a worker that did not run.
  void stalled(int64_t nanoseconds) { stall_ += nanoseconds; }

 private:
  static constexpr int64_t kMs = 1'000'000, kWindow = 8 * kMs;
  static constexpr int64_t kShortest = 16 * kMs, kLongest = 256 * kMs;
  static constexpr int kJobs = 16;     // from look to look
  static constexpr int kWindows = 3;   // one after the other, before the first pause
  static constexpr int kSwitches = 2;  // in a window; a quiet machine has less than one in ten

  void start(int64_t time) {
    begin_ = time;
    switches_ = switches();
    stall_ = 0;
  }

  // How often the calling thread had to leave its core to another.
  static int64_t switches() {
#ifdef __linux__
    rusage use;
    return getrusage(RUSAGE_THREAD, &use) == 0 ? use.ru_nivcsw : 0;
#else
    return 0;
#endif
  }

  void look() {
    jobs_ = kJobs;
    const int64_t time = now(), passed = time - begin_;
    if (allowed_ > 1 && passed >= kWindow) {
      const int64_t lost = switches() - switches_;
      const bool bad = (lost >= kSwitches && lost * kWindow >= passed) || stall_ * 4 >= passed;
      bad_ = bad ? bad_ + 1 : 0;
      // Once is nothing: threads of another library spin for some milliseconds after its work.
      if (bad_ >= (pause_ * 4 < kShortest ? kWindows : 1)) {
        bad_ = 0;
        --allowed_;
        pause_ = 2 * pause_ < kShortest ? kShortest : 2 * pause_ > kLongest ? kLongest : 2 * pause_;
        until_ = time + pause_;
      } else if (!bad) {
        pause_ /= 2;
      }
      start(time);
    }
    if (allowed_ < threads_ && time >= until_) {
      ++allowed_;
      until_ = time + pause_;
      start(time);
    }
  }

  int threads_ = 0, allowed_ = 0, jobs_ = kJobs, bad_ = 0;
  int64_t begin_ = 0, switches_ = 0, stall_ = 0, pause_ = 0, until_ = 0;
};

}  // namespace tl
