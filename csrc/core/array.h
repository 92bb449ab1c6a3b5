// Array = View (what kernels see) + a reference to the Storage that owns or borrows the bytes.
#pragma once
#include <atomic>

#include "view.h"

namespace tl {

// Counts in-place writes through some of a storage's arrays only.
struct VersionCounter {
  std::atomic<int64_t> refs{1};
  std::atomic<uint32_t> version{0};
};

// Of a storage: a record wants copies made before the next write; made while this thread was in
// inference mode, so that it may only be written in it; made during a capture (core/plan), and
// elements were written by the host, not by a call; lent, so that they may change unseen.
inline constexpr uint8_t kWatched = 1, kInference = 2, kHostWritten = 4, kLent = 8;

// Whether this thread is in inference mode; storage made in it is marked.
bool in_inference();
void set_inference(bool on);

// Whether a thread captures a plan; the number of this thread's capture, 0: none. It is kept in
// what is made meanwhile.
inline std::atomic<int> capturing_threads{0};
inline bool captures_running() { return capturing_threads.load(std::memory_order_relaxed) != 0; }
void set_capture(uint64_t serial);

// Bytes with one owner. Reference counts are atomic: arrays may be dropped on any thread.
struct Storage {
  std::atomic<int64_t> refs{1};
  std::byte* data = nullptr;
  size_t bytes = 0;
  std::byte* copy = nullptr;               // what copy-on-write made; `data` points to it then
  void (*release)(void* owner) = nullptr;  // null: owned memory, back to the pool
  void* owner = nullptr;                   // what keeps borrowed bytes alive
  bool writable = true;                    // false: the first in-place write must copy
  Device device;
  std::atomic<uint32_t> version{0};  // counts in-place writes, for autograd
  std::atomic<uint32_t> apart{0};    // how many of them went through a counter of its own
  std::atomic<uint8_t> guards{0};    // what is to be seen to before a write
  uint64_t made =
      0;  // of what is made during a capture: its number, and a count in the low 32 bits
};

class Array : public View {
 public:
  Array() = default;
  Array(const Array& other);
  Array(Array&& other) noexcept;
  Array& operator=(Array other) noexcept;
  ~Array();

  // Uninitialised, contiguous. `data` is null (and ok() false) when the size overflows or memory is
  // out. On `meta` nothing is allocated: `data` counts from an address that is never read.
  static Array empty(DType dtype, const int64_t* shape, int ndim, Device device = {});
  // Takes over one reference to `owner`, given back through `release` when the last view dies.
  static Array borrow(DType dtype, const int64_t* shape, int ndim, std::byte* data, size_t bytes,
                      bool writable, void (*release)(void*), void* owner);
  // Another view of the same storage, `view.data` counted from this array's data; the caller
  // vouches for the bounds.
  Array with(const View& view) const;
  // The same elements, with a version of their own from here on (`x.data`): a write through this
  // array or its views does not show in the version of the others. Not ok() when memory is out.
  Array with_own_version() const;
  // How often the elements were written in place, as far as this array is told.
  uint32_t version() const;
  void count_write() const;
  bool has_own_version() const { return counter_ != nullptr; }

  bool ok() const { return storage_ != nullptr; }
  Storage* storage() const { return storage_; }
  Device device() const { return storage_->device; }
  int64_t byte_offset() const { return byte_offset_; }  // from the start of the storage
  // A copy-on-write may have moved the storage's bytes: called before the data is used.
  void sync() { data = storage_->data + byte_offset_; }

 private:
  Storage* storage_ = nullptr;
  int64_t byte_offset_ = 0;
  VersionCounter* counter_ = nullptr;  // null: the storage's
};

// Bytes that the storage has for elements: memory of our own ends in a few that vector loads may
// touch but no element lies in.
size_t held_bytes(const Storage& storage);

// Said of an array that is filled by other means than a call.
void filled_by_host(const Array& x);

// Copy-on-write: gives a read-only storage bytes of its own, which all its views then see. The
// owner stays until the storage dies: memory lent from it earlier (a numpy view, a kernel on
// another thread) may still be read. False when memory is out.
bool detach(Storage* storage);

// How far the address is from a multiple of what the dtype needs, as C and some processors ask for.
// Borrowed read-only memory at such an address is copied first, where nobody can tell; what is left
// is writable memory, which cannot be shared, or read-only memory that there was no memory to copy.
int misalignment(Array& x);

// Moves a storage's bytes into writable memory of `owner`, with room for all of them, which all its
// views then see; takes over the reference to `owner`. What the storage had before stays until it
// dies, as above. False when memory is out.
bool move_to(Storage* storage, std::byte* data, void (*release)(void*), void* owner);

// Bytes of a contiguous array of this shape, or -1 when it overflows (axes of length 0 counted as
// 1, so that no stride overflows either), is negative, or splits a block.
int64_t contiguous_bytes(DType dtype, const int64_t* shape, int ndim);
void set_contiguous_strides(View& view);

}  // namespace tl
