// How elementwise kernels run. An op is a handful of loops over contiguous memory, one per type
// that arithmetic is done in; a driver, compiled once, brings every operand there: in place where
// memory already looks like that, else in chunks that stay in the first-level cache (half types,
// strides, broadcast numbers). So an op costs two or three small loops and not one per dtype and
// layout.
#pragma once
#include <string_view>

#include "../core/kernel.h"
#include "simd/simd.h"

#if defined(__clang__)
#define TL_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define TL_IVDEP _Pragma("GCC ivdep")
#endif

namespace tl::TL_ISA {

struct c64 {
  float re, im;
};

// What values are computed in. `raw`: the dtype's own words, never looked at.
enum class ComputeType : uint8_t { f32, f64, i64, u64, complex, raw };

inline constexpr int kChunk = 512;  // elements of an operand in the cache
inline constexpr int kMaxInputs = 3;

using LoadFn = void (*)(const std::byte* p, int64_t stride, void* wide, int64_t n);
using StoreFn = void (*)(std::byte* p, int64_t stride, const void* wide, int64_t n);

// How one operand is brought to and from the type of the arithmetic.
struct Conversion {
  int16_t width = 0;  // bytes in memory; 0: there is no such conversion
  int16_t wide = 0;   // bytes in a chunk
  bool same = false;  // memory already holds that type
  LoadFn load = nullptr;
  StoreFn store = nullptr;
};

// copy.cpp: the one place where dtypes are converted.
ComputeType compute_type(DType dtype);
Conversion reading(DType dtype, ComputeType wide);
Conversion writing(DType dtype, ComputeType wide);

// n elements; an input may be the output itself. `numbers` are the op's own constants.
using Step = void (*)(void* out, const void* const* in, int64_t n, const double* numbers);

// elementwise_run.cpp. views[0] is the output; all have one shape. A null step copies.
void run_steps(const View* const* views, const Conversion* forms, int inputs, Step step,
               const double* numbers);

struct Steps {
  Step f32 = nullptr, f64 = nullptr, i64 = nullptr, u64 = nullptr;
  Step words[4] = {};    // of 1, 2, 4, 8 bytes, where only bits matter: instead of i64, u64
  bool truth = false;    // the result is bool
  Step bools = nullptr;  // of bools, where bits would be the wrong answer
};

// Null, or the error of arrays that cannot be walked together; run_steps itself asks nothing.
TL_INLINE const char* differ(const View* const* views, int count) {
  for (int k = 1; k < count; ++k) {
    if (!same_shape(*views[k], *views[0])) return "expected arrays of one shape";
  }
  return nullptr;
}

// By the dtype of the first input; complex64 by the op's name.
const char* run_op(const Arg* args, int inputs, const Steps& steps, const char* name,
                   const double* numbers = nullptr);
// elementwise_compare.cpp: a comparison of integers of one and four bytes (bools too); false for
// others. The three views have one shape.
bool compare_words(const View* const* views, std::string_view name);
// Such integers as bools.
bool differs_from_zero(const View& out, const View& x);
// complex.cpp: null when there is no such op. `real` is set when the result is f32.
Step complex_step(const char* name, bool* real);

TL_INLINE bool is_number(const View& v) {
  for (int i = 0; i < v.ndim; ++i) {
    if (v.shape[i] != 1 && v.strides[i] != 0) return false;
  }
  return v.size() > 0;
}

}  // namespace tl::TL_ISA
