// One loop over any number of equally shaped, arbitrarily strided operands: axes merged where
// possible, cut into pieces for the thread pool, the innermost axis handed to the kernel as
// (pointers, byte strides, length).
#pragma once
#include "../core/parallel.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

template <int N>
struct Loop {
  int ndim = 1;
  int64_t shape[kMaxDims] = {1};
  int64_t strides[N][kMaxDims] = {};  // bytes
  std::byte* data[N];

  // All views have the shape of views[0].
  explicit Loop(const View* const (&views)[N]) {
    const View& first = *views[0];
    int order[kMaxDims];
    // Outer to inner by the output's stride, so that writes run through memory in order.
    const int count = axes_by_stride(first, order);
    ndim = 0;
    for (int i = 0; i < count; ++i) {
      int axis = order[i];
      int64_t step[N];
      for (int k = 0; k < N; ++k) step[k] = views[k]->strides[axis] * bytes_of(views[k]->dtype);
      bool merge = ndim > 0;
      for (int k = 0; merge && k < N; ++k)
        merge = strides[k][ndim - 1] == step[k] * first.shape[axis];
      if (merge) {
        shape[ndim - 1] *= first.shape[axis];
      } else {
        shape[ndim++] = first.shape[axis];
      }
      for (int k = 0; k < N; ++k) strides[k][ndim - 1] = step[k];
    }
    if (ndim == 0) {
      ndim = 1;
      shape[0] = first.ndim == 0 || first.size() == 1 ? 1 : 0;
      for (int k = 0; k < N; ++k) strides[k][0] = 0;
    }
    for (int k = 0; k < N; ++k) data[k] = views[k]->data;
  }

  // A plain function pointer, not a template: the walk is compiled once, not once per op and dtype.
  using Inner = void (*)(std::byte* const* pointers, const int64_t* byte_strides, int64_t n);
  void run(Inner inner) const {
    run([](std::byte* const* p, const int64_t* s, int64_t n,
           const void* context) { reinterpret_cast<Inner>(const_cast<void*>(context))(p, s, n); },
        reinterpret_cast<const void*>(inner));
  }

  using InnerWith = void (*)(std::byte* const* pointers, const int64_t* byte_strides, int64_t n,
                             const void* context);
  void run(InnerWith body, const void* context) const {
    int64_t inner = shape[ndim - 1], outer = 1, steps[N];
    for (int i = 0; i < ndim - 1; ++i) outer *= shape[i];
    if (inner == 0 || outer == 0) return;
    for (int k = 0; k < N; ++k) steps[k] = strides[k][ndim - 1];
    if (outer == 1 && inner <= kPiece) {
      body(data, steps, inner, context);
      return;
    }
    int64_t cuts = (inner + kPiece - 1) / kPiece;
    int64_t length = (inner + cuts - 1) / cuts;
    int64_t grain = length >= kPiece ? 1 : (kPiece + length - 1) / length;
    parallel_for(outer * cuts, grain, [&](int64_t begin, int64_t end, int) {
      for (int64_t piece = begin; piece < end; ++piece) {
        int64_t start = piece % cuts * length, rest = piece / cuts;
        std::byte* at[N];
        for (int k = 0; k < N; ++k) at[k] = data[k] + start * steps[k];
        for (int i = ndim - 2; i >= 0; --i) {
          int64_t index = rest % shape[i];
          rest /= shape[i];
          for (int k = 0; k < N; ++k) at[k] += index * strides[k][i];
        }
        int64_t n = inner - start < length ? inner - start : length;
        body(at, steps, n, context);
      }
    });
  }

 private:
  // Elements of one piece: enough work (several microseconds) to be worth handing to another
  // thread.
  static constexpr int64_t kPiece = 16384;
};

}  // namespace tl::TL_ISA
