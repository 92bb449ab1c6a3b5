#include "alloc.h"

#include "watch.h"

#ifndef __wasm__
#include <pthread.h>
#endif

#include <atomic>
#include <cstdlib>

namespace tl {
namespace {

// Size classes: four per power of two from 64 bytes to 1 GiB; larger blocks go straight to the
// system. At most kCacheLimit bytes lie idle. A spin lock guards each class: it is held for a few
// instructions only.
constexpr size_t kAlign = 64;
constexpr int kClasses = 4 * 25;
constexpr size_t kLargest = size_t{1} << 30;
constexpr size_t kCacheLimit = size_t{256} << 20;

struct FreeBlock {
  FreeBlock* next;
};
struct SizeClass {
  std::atomic_flag lock = ATOMIC_FLAG_INIT;
  FreeBlock* head = nullptr;
};

SizeClass classes[kClasses];
std::atomic<size_t> in_use{0}, cached{0}, peak{0};

int class_of(size_t bytes) {
  if (bytes <= kAlign) return 0;
  int log = 63 - __builtin_clzll(bytes - 1);  // bytes in (2^log, 2^(log+1)]
  size_t step = size_t{1} << (log - 2);
  int quarter = static_cast<int>((bytes - (size_t{1} << log) + step - 1) / step);  // 1…4
  return 4 * (log - 6) + quarter;
}

size_t size_of(int c) {
  if (c == 0) return kAlign;
  int log = (c - 1) / 4 + 6, quarter = (c - 1) % 4 + 1;
  size_t size = (size_t{1} << log) + quarter * (size_t{1} << (log - 2));
  return (size + kAlign - 1) & ~(kAlign - 1);
}

void acquire(SizeClass& c) {
  while (c.lock.test_and_set(std::memory_order_acquire)) {
  }
}
void release(SizeClass& c) { c.lock.clear(std::memory_order_release); }

#ifndef __wasm__
// A fork while another thread holds a lock would leave it held for ever in the child: all are taken
// around the fork.
void lock_all() {
  for (SizeClass& c : classes) acquire(c);
}
void unlock_all() {
  for (SizeClass& c : classes) release(c);
}
[[maybe_unused]] const int kHooked = pthread_atfork(lock_all, unlock_all, unlock_all);
#endif

void count(size_t bytes) {
  size_t now = in_use.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  size_t top = peak.load(std::memory_order_relaxed);
  while (now > top && !peak.compare_exchange_weak(top, now, std::memory_order_relaxed)) {
  }
}

inline __attribute__((always_inline)) void* allocate(size_t bytes, bool& found) {
  if (bytes > (size_t{1} << 62)) return nullptr;
  void* p = nullptr;
  if (bytes <= kLargest / 2) {
    int c = class_of(bytes);
    size_t size = size_of(c);
    acquire(classes[c]);
    if (FreeBlock* head = classes[c].head) {
      classes[c].head = head->next;
      p = head;
    }
    release(classes[c]);
    found = p != nullptr;
    if (p)
      cached.fetch_sub(size, std::memory_order_relaxed);
    else
      p = aligned_alloc(kAlign, size);
    if (!p) {
      pool_trim();
      p = aligned_alloc(kAlign, size);
    }
    if (p) count(size);
    return p;
  }
  size_t size = (bytes + kAlign - 1) & ~(kAlign - 1);
  p = aligned_alloc(kAlign, size);
  if (p) count(size);
  return p;
}

// Apart, so that pool_alloc needs no registers for it.
__attribute__((cold, noinline)) void* watched_alloc(const Watch& w, size_t bytes) {
  bool found = false;
  void* p = allocate(bytes, found);
  w.memory(bytes, found);
  return p;
}

}  // namespace

void* pool_alloc(size_t bytes) {
  if (const Watch* w = watching(); __builtin_expect(w != nullptr, 0))
    return watched_alloc(*w, bytes);
  bool found;
  return allocate(bytes, found);
}

void pool_free(void* p, size_t bytes) {
  if (!p) return;
  if (bytes > kLargest / 2) {
    in_use.fetch_sub((bytes + kAlign - 1) & ~(kAlign - 1), std::memory_order_relaxed);
    free(p);
    return;
  }
  int c = class_of(bytes);
  size_t size = size_of(c);
  in_use.fetch_sub(size, std::memory_order_relaxed);
  if (cached.load(std::memory_order_relaxed) + size > kCacheLimit) {
    free(p);
    return;
  }
  cached.fetch_add(size, std::memory_order_relaxed);
  auto* block = static_cast<FreeBlock*>(p);
  acquire(classes[c]);
  block->next = classes[c].head;
  classes[c].head = block;
  release(classes[c]);
}

PoolStats pool_stats() { return {in_use.load(), cached.load(), peak.load()}; }

void pool_trim() {
  for (int c = 0; c < kClasses; ++c) {
    acquire(classes[c]);
    FreeBlock* head = classes[c].head;
    classes[c].head = nullptr;
    release(classes[c]);
    while (head) {
      FreeBlock* next = head->next;
      cached.fetch_sub(size_of(c), std::memory_order_relaxed);
      free(head);
      head = next;
    }
  }
}

}  // namespace tl
