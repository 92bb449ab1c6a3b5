// What the C++ library throws ends the process here, as the code is compiled without exceptions;
// so its machinery for them, a twentieth of the program, is not linked.
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

[[noreturn]] void end(const char* why) {
  fprintf(stderr, "tallow-run: %s\n", why);
  _Exit(1);
}

void* allocate(std::size_t bytes) {
  void* memory = malloc(bytes ? bytes : 1);
  if (!memory) end("expected room in memory, got none");
  return memory;
}

}  // namespace

namespace std {
void __throw_length_error(const char* why) { end(why); }
void __throw_logic_error(const char* why) { end(why); }
void __throw_out_of_range(const char* why) { end(why); }
void __throw_out_of_range_fmt(const char* why, ...) { end(why); }
void __throw_bad_alloc() { end("expected room in memory, got none"); }
void __throw_bad_array_new_length() { end("expected room in memory, got none"); }
void __throw_bad_function_call() { end("a function that is not there was called"); }
void __throw_system_error(int) { end("the system gave no thread"); }
}  // namespace std

void* operator new(std::size_t bytes) { return allocate(bytes); }
void* operator new[](std::size_t bytes) { return allocate(bytes); }
void* operator new(std::size_t bytes, std::align_val_t align) {
  const auto at = static_cast<std::size_t>(align);
  void* memory = aligned_alloc(at, (bytes + at - 1) / at * at);
  if (!memory) end("expected room in memory, got none");
  return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept { free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { free(memory); }

// Static variables of functions, as the Itanium C++ ABI asks: the first byte says that one is made,
// the second that a thread is at it.
extern "C" {
int __cxa_guard_acquire(char* guard) {
  while (!__atomic_load_n(guard, __ATOMIC_ACQUIRE)) {
    if (!__atomic_exchange_n(guard + 1, 1, __ATOMIC_ACQUIRE)) return 1;
    while (__atomic_load_n(guard + 1, __ATOMIC_RELAXED) &&
           !__atomic_load_n(guard, __ATOMIC_ACQUIRE))
      sched_yield();
  }
  return 0;
}
void __cxa_guard_release(char* guard) { __atomic_store_n(guard, 1, __ATOMIC_RELEASE); }
void __cxa_guard_abort(char* guard) { __atomic_store_n(guard + 1, 0, __ATOMIC_RELEASE); }
}

void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return malloc(bytes ? bytes : 1);
}
void operator delete(void* memory) noexcept { free(memory); }
void operator delete[](void* memory) noexcept { free(memory); }
void operator delete(void* memory, std::size_t) noexcept { free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { free(memory); }
