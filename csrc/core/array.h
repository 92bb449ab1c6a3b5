// Array = View (what kernels see) + a reference to the Storage that owns or borrows the bytes.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "dtype.h"

// Kernel files are compiled once per ISA; an out-of-line copy of a shared inline function could be
// taken from the widest ISA by the linker and crash an older CPU. So whatever kernels use from core
// is forced inline.
// In the plainest set, whose objects the linker takes first, it need not be; made for size it then
// takes half the space and a fifth of the time to compile.
#ifdef __OPTIMIZE_SIZE__
#define TL_INLINE inline
#else
#define TL_INLINE inline __attribute__((always_inline))
#endif

namespace tl {

inline constexpr int kMaxDims = 12;

// Where elements live. Arrays on `meta` have shapes, dtypes and strides, but no memory. The types
// from `others` on are those of back-ends, in the order in which they were added (core/device.h):
// what is at the addresses of their arrays is for their own functions and kernels alone.
struct Device {
  enum Type : uint8_t { cpu, meta, others };
  Type type = cpu;
  uint8_t index = 0;
  TL_INLINE bool operator==(const Device&) const = default;
};

// Where the elements are. `data` already includes the offset; strides are signed and count
// elements. In block dtypes the last axis is contiguous and its length a multiple of the block.
struct View {
  std::byte* data = nullptr;
  DType dtype = DType::f32;
  int8_t ndim = 0;
  int64_t shape[kMaxDims] = {};
  int64_t strides[kMaxDims] = {};

  template <class T>
  TL_INLINE T* ptr() const {
    return reinterpret_cast<T*>(data);
  }
  TL_INLINE int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
  // Length / stride of an axis counted from the end (1 = last); missing axes have length 1, stride
  // 0.
  TL_INLINE int64_t back(int i) const { return i <= ndim ? shape[ndim - i] : 1; }
  TL_INLINE int64_t back_stride(int i) const { return i <= ndim ? strides[ndim - i] : 0; }
  TL_INLINE bool contiguous() const {
    int64_t want = 1;
    for (int i = ndim - 1; i >= 0; --i) {
      if (shape[i] == 0) return true;
      if (shape[i] != 1 && strides[i] != want) return false;
      want *= shape[i];
    }
    return true;
  }
};

TL_INLINE bool same_shape(const View& a, const View& b) {
  if (a.ndim != b.ndim) return false;
  for (int i = 0; i < a.ndim; ++i) {
    if (a.shape[i] != b.shape[i]) return false;
  }
  return true;
}

// Strides count elements backwards, too.
TL_INLINE int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

// The axes of other lengths than 1 from the outermost in memory to the innermost, without `except`;
// gives how many.
TL_INLINE int axes_by_stride(const View& v, int* order, int except = -1) {
  int count = 0;
  for (int i = 0; i < v.ndim; ++i) {
    if (v.shape[i] == 1 || i == except) continue;
    int at = count++;
    for (; at > 0 && magnitude(v.strides[order[at - 1]]) < magnitude(v.strides[i]); --at)
      order[at] = order[at - 1];
    order[at] = i;
  }
  return count;
}

// Counts in-place writes through some of a storage's arrays only.
struct VersionCounter {
  std::atomic<int64_t> refs{1};
  std::atomic<uint32_t> version{0};
};

// Of a storage: a record wants copies made before the next write; made while this thread was in
// inference mode, so that it may only be written in it.
inline constexpr uint8_t kWatched = 1, kInference = 2;

// Whether this thread is in inference mode; storage made in it is marked.
bool in_inference();
void set_inference(bool on);

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
