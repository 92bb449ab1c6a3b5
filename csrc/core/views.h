// Views: other shapes and strides over the same storage. Nothing here copies, save reshape when no
// view can do it. What fails gives an array that is not ok() and says why in `error`.
#pragma once
#include "call.h"

namespace tl {

struct IntList {
  const int64_t* values;
  int count;
};

Array reshape(const Array& x, IntList shape, Error& error);  // one size may be -1
Array view(const Array& x, IntList shape, Error& error);     // the same, never a copy
Array transpose(const Array& x, int64_t a, int64_t b, Error& error);
Array permute(const Array& x, IntList axes, Error& error);
Array expand(const Array& x, IntList sizes, Error& error);  // -1 keeps an axis
Array squeeze(const Array& x, Error& error);                // every axis of length 1
Array squeeze(const Array& x, int64_t axis, Error& error);
Array unsqueeze(const Array& x, int64_t axis, Error& error);
Array narrow(const Array& x, int64_t axis, int64_t start, int64_t length, Error& error);
// Any shape and strides, `offset` elements after the first element of `x`; every element must lie
// inside the storage.
Array as_strided(const Array& x, IntList shape, IntList strides, int64_t offset, Error& error);
// The same bytes as another plain dtype. When it is narrower or wider, the last axis, whose
// elements must be neighbours, grows or shrinks.
Array view_dtype(const Array& x, int64_t dtype, Error& error);
// Blocks as their bytes (u8), and the other way round.
Array view_blocks(const Array& x, DType wanted, const char* where, Error& error);
// complex64 seen as f32 with a last axis of two, and back.
Array view_as_real(const Array& x, Error& error);
Array view_as_complex(const Array& x, Error& error);

// A view by its name, for callers that have names and lists only.
struct ViewOp {
  const char* name;
  // "shape:I" a list, "axis:i" one integer (a list of 1), "axis:i?" one that may be left out.
  const char* signature;
  int lists;
  Array (*make)(const Array& x, const IntList* lists, Error& error);
};
const ViewOp* find_view(const char* name);
// Checks number and lengths of the lists, then calls.
Array call_view(const ViewOp& op, const Array& x, const IntList* lists, int n, Error& error);

// --- what cutting and joining share
// ---------------------------------------------------------------

// The axis counted from the front; -1 with an error when there is none.
int axis_of(int64_t axis, int ndim, const char* where, Error& error);
// Moves the first element along an axis. Only a view without elements has strides beyond any
// memory, and where that begins does not matter.
inline void shift(View& v, int64_t steps, int64_t stride) {
  constexpr int64_t kFar = int64_t{1} << 44;
  int64_t elements;
  if (__builtin_mul_overflow(steps, stride, &elements) || elements > kFar || elements < -kFar)
    return;
  v.data += elements / block_of(v.dtype) * bytes_of(v.dtype);
}
// In block dtypes the last axis is stored in blocks and stays where it is: false, unless `ok`.
bool keep_blocks(const View& v, bool ok, const char* where, Error& error);
void remove_axis(View& v, int axis);
bool insert_axis(View& v, int axis, const char* where, Error& error);

}  // namespace tl
