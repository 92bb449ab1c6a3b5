// What threads of the pool sleep on.
#pragma once
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

// Where there is no futex, or TL_PORTABLE_POOL is set, workers park on a condition variable.
#if defined(__linux__) && !defined(TL_PORTABLE_POOL)
#define TL_FUTEX 1
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

namespace tl {

// A number that threads wait for while it stays what they have seen.
class EventCount {
 public:
  uint32_t now() const { return value_.load(std::memory_order_seq_cst); }

#ifdef TL_FUTEX
  void wait(uint32_t seen) {
    if (now() != seen) return;
    syscall(SYS_futex, word(), FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
  }
  void next() { value_.fetch_add(1, std::memory_order_seq_cst); }
  void wake_all() {
    syscall(SYS_futex, word(), FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
  }

 private:
  uint32_t* word() { return reinterpret_cast<uint32_t*>(&value_); }
  std::atomic<uint32_t> value_{0};
#else
  ~EventCount() {
    pthread_cond_destroy(&moved_);
    pthread_mutex_destroy(&mutex_);
  }
  void wait(uint32_t seen) {
    pthread_mutex_lock(&mutex_);
    while (now() == seen) pthread_cond_wait(&moved_, &mutex_);
    pthread_mutex_unlock(&mutex_);
  }
  void next() { value_.fetch_add(1, std::memory_order_seq_cst); }
  // Whoever waits has seen the new number, or stands in pthread_cond_wait, once the lock is free.
  void wake_all() {
    pthread_mutex_lock(&mutex_);
    pthread_cond_broadcast(&moved_);
    pthread_mutex_unlock(&mutex_);
  }

 private:
  std::atomic<uint32_t> value_{0};
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t moved_ = PTHREAD_COND_INITIALIZER;
#endif
};

}  // namespace tl
