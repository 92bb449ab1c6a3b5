// Copies that kernels make on their way: into a result that they then change, or into another
// dtype.
#pragma once
#include "../core/alloc.h"
#include "../core/view.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

// The kernel `copy`: arrays of one shape, any strides and plain dtypes.
const char* copy_array(const View& out, const View& x);

// A row-major copy in another dtype, in memory of the kernel's own.
struct Converted {
  Scratch memory;
  View view;
  const char* error;

  Converted(const View& x, DType dtype) : memory(room(x, dtype)), view(x) {
    view.data = memory.as<std::byte>();
    view.dtype = dtype;
    int64_t step = 1;
    for (int i = x.ndim - 1; i >= 0; --i) {
      view.strides[i] = step;
      step *= x.shape[i] > 1 ? x.shape[i] : 1;
    }
    error = view.data ? copy_array(view, x) : "out of memory";
  }

 private:
  static size_t room(const View& x, DType dtype) {  // a view can repeat elements beyond all memory
    const int64_t n = x.size();
    return n < 0 || n >= int64_t{1} << 56 ? SIZE_MAX : (n + 1) * bytes_of(dtype);
  }
};

}  // namespace tl::TL_ISA
