// Copies whose output runs along one axis and whose input along another, as transpositions do, and
// words at any address.
#pragma once
#include "../core/parallel.h"
#include "../core/view.h"
#include "simd/simd.h"

namespace tl::TL_ISA {

// A word at any address: tensors of files lie where their writers put them, and a compiler that
// trusts in alignment may load vectors by instructions that fault.
template <class Word>
struct [[gnu::packed, gnu::may_alias]] Loose {
  Word value;
};

// Eight rows of eight 32-bit words, transposed in registers.
TL_INLINE void transpose_8x8(const uint32_t* from, int64_t from_step, uint32_t* to,
                             int64_t to_step) {
  f32x8 r[8];
  for (int i = 0; i < 8; ++i) r[i] = load_as<f32x8>(from + i * from_step);
  transpose(r);
  for (int i = 0; i < 8; ++i) store_at(to + i * to_step, r[i]);
}

// to[r][c] = from[c][r], both with unit steps inside.
template <class Word>
void transpose_tile(Loose<Word>* to, int64_t to_step, const Loose<Word>* from, int64_t from_step,
                    int64_t rows, int64_t columns) {
  int64_t r = 0;
  if constexpr (sizeof(Word) == 4) {
    if (columns == 2 && to_step == 2) {
      for (; r + 8 <= rows; r += 8) {
        const f32x8 a = load_as<f32x8>(from + r), b = load_as<f32x8>(from + from_step + r);
        store_at(to + 2 * r, __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
        store_at(to + 2 * r + 8, __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
      }
    }
    for (; r + 8 <= rows; r += 8) {
      int64_t c = 0;
      for (; c + 8 <= columns; c += 8)
        transpose_8x8(reinterpret_cast<const Word*>(from + c * from_step + r), from_step,
                      reinterpret_cast<Word*>(to + r * to_step + c), to_step);
      for (; c < columns; ++c) {
        for (int64_t i = r; i < r + 8; ++i)
          to[i * to_step + c].value = from[c * from_step + i].value;
      }
    }
  }
  for (; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) to[r * to_step + c].value = from[c * from_step + r].value;
  }
}

// The axes of a copy in the order of the output's memory, those merged that lie alike in both; but
// the one along which x runs, if that is another than the output's, before the last.
inline void put_in_order(View& out, View& x) {
  int order[kMaxDims];
  const int count = axes_by_stride(out, order);
  const View a = out, b = x;
  out.ndim = x.ndim = 0;
  for (int i = 0; i < count; ++i) {
    const int axis = order[i], last = out.ndim - 1;
    const int64_t n = a.shape[axis], to = a.strides[axis], from = b.strides[axis];
    const bool merged = last >= 0 && out.strides[last] == to * n && x.strides[last] == from * n;
    const int at = merged ? last : out.ndim++;
    x.ndim = out.ndim;
    x.shape[at] = out.shape[at] = merged ? out.shape[at] * n : n;
    out.strides[at] = to, x.strides[at] = from;
  }
  const auto swap = [](int64_t* list, int i, int j) {
    const int64_t before = list[i];
    list[i] = list[j], list[j] = before;
  };
  for (int i = 0; i < x.ndim - 2; ++i) {
    if (x.strides[i] != 1) continue;
    for (int64_t* list : {out.shape, x.shape, out.strides, x.strides}) swap(list, i, x.ndim - 2);
  }
}

inline bool is_transposition(const View& out, const View& x) {
  return x.ndim >= 2 && out.back_stride(1) == 1 && x.back_stride(2) == 1 && x.back_stride(1) > 1 &&
         x.back(2) >= 8 &&
         (x.back(1) >= 8 || (x.back(1) == 2 && bytes_of(x.dtype) == 4 && out.back_stride(2) == 2));
}

template <class Word>
void transpose(const View& out, const View& x) {
  // Columns of the output a tile is wide: whole cache lines of both sides are used while they are
  // near, and a power-of-two step between rows does not push them out of their set.
  constexpr int64_t kRows = 64 / sizeof(Word) * 4, kColumns = 64 / sizeof(Word) * 2;
  int64_t rows = x.back(2), columns = x.back(1), batch = 1;
  for (int i = 0; i < x.ndim - 2; ++i) batch *= x.shape[i];
  // A piece for a thread: as many tiles beside each other as make it worth while.
  constexpr int64_t kStretch = 32768 / kRows;
  int64_t tall = (rows + kRows - 1) / kRows, across = (columns + kStretch - 1) / kStretch;
  parallel_for(batch * tall * across, 1 + kStretch / columns, [&](int64_t begin, int64_t end, int) {
    for (int64_t piece = begin; piece < end; ++piece) {
      int64_t rest = piece / across / tall, top = piece / across % tall * kRows;
      int64_t first = piece % across * kStretch;
      int64_t last = first + kStretch < columns ? first + kStretch : columns;
      Loose<Word>*to = out.ptr<Loose<Word>>(), *from = x.ptr<Loose<Word>>();
      for (int i = x.ndim - 3; i >= 0; --i) {
        to += rest % x.shape[i] * out.strides[i];
        from += rest % x.shape[i] * x.strides[i];
        rest /= x.shape[i];
      }
      int64_t height = top + kRows < rows ? kRows : rows - top;
      int64_t to_step = out.back_stride(2), from_step = x.back_stride(1);
      for (int64_t left = first; left < last; left += kColumns) {
        int64_t wide = left + kColumns < last ? kColumns : last - left;
        transpose_tile(to + top * to_step + left, to_step, from + left * from_step + top, from_step,
                       height, wide);
      }
    }
  });
}

}  // namespace tl::TL_ISA
