#include <algorithm>
#include <new>

#include "plan.h"

#ifndef __wasm__
#include <pthread.h>
#endif

namespace tl {
namespace {

std::mutex& registry_lock() {
  static std::mutex lock;
  return lock;
}
std::vector<Arena*>& registry() {
  static auto* arenas = new std::vector<Arena*>;  // plans may outlive static variables
  return *arenas;
}

#ifndef __wasm__
// In the child of a fork the thread that ran a plan is gone, with what it had half done: its lock
// would stay held for ever, its memory may be half replaced. Nothing else runs there yet.
void before_fork() { registry_lock().lock(); }
void in_parent() { registry_lock().unlock(); }
void in_child() {
  for (Arena* arena : registry()) {
    new (&arena->running) std::mutex;
    new (&arena->memory) std::vector<Array>;
    ++arena->forks;
  }
  registry_lock().unlock();
}
[[maybe_unused]] const int kHooked = pthread_atfork(before_fork, in_parent, in_child);
#endif

}  // namespace

SharedArena::SharedArena(Arena* arena) : arena_(arena ? arena : new Arena) {
  if (arena_->plans++ > 0) return;
  std::lock_guard lock(registry_lock());
  registry().push_back(arena_);
}

SharedArena::~SharedArena() {
  if (--arena_->plans > 0) return;
  {
    std::lock_guard lock(registry_lock());
    registry().erase(std::find(registry().begin(), registry().end(), arena_));
  }
  delete arena_;
}

}  // namespace tl
