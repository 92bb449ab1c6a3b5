// 64-byte aligned memory with a cache of freed blocks, so that a small op does not pay for malloc
// or page faults.
#pragma once
#include <cstddef>

namespace tl {

// Null when memory is out. Thread-safe.
void* pool_alloc(size_t bytes);
void pool_free(void* p, size_t bytes);

struct PoolStats {
  size_t in_use, cached, peak;
};
PoolStats pool_stats();
void pool_trim();  // give all cached blocks back to the system

// Scratch of one kernel call, given back at the end of the scope.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : bytes_(bytes), data_(pool_alloc(bytes)) {}
  ~Scratch() { pool_free(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  size_t bytes_;
  void* data_;
};

}  // namespace tl
