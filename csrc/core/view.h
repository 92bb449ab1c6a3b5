// View: what a kernel sees of an array, pointer, shape, strides and dtype in plain fields.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>

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

}  // namespace tl
