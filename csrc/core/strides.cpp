// The order in memory of results whose operands do not lie in row-major order, as torch's
// TensorIterator chooses it: operands in one dense order keep it; else axes are sorted by the
// strides of the first operand that tells two of them apart.
#include "strides.h"

#include <cstring>

namespace tl {
namespace {

bool equal(const int64_t* a, const int64_t* b, int n) {
  return memcmp(a, b, sizeof(int64_t) * n) == 0;
}

// Dense strides with the axes from outer to inner in `order`.
void set_strides_in_order(View& out, const int* order) {
  int64_t stride = 1;
  for (int i = out.ndim - 1; i >= 0; --i) {
    out.strides[order[i]] = stride;
    stride *= out.shape[order[i]] > 1 ? out.shape[order[i]] : 1;
  }
}

constexpr int kChannelsLast[] = {0, 2, 3, 1};

bool is_channels_last(const View& x) {
  if (x.ndim != 4) return false;
  View want = x;
  set_strides_in_order(want, kChannelsLast);
  for (int i = 0; i < 4; ++i) {
    if (x.shape[i] != 1 && x.strides[i] != want.strides[i]) return false;
  }
  return true;
}

// Whether axis `a` shall lie outside axis `b`, which stands after it: 1 yes, -1 no, 0 nothing said.
// Expanded axes say nothing; of equal strides (an axis of length 1) the shorter axis goes outside.
int outside(const View* const* operands, int n, const View& out, int a, int b) {
  for (int k = 0; k < n; ++k) {
    int64_t x = magnitude(operands[k]->strides[a]), y = magnitude(operands[k]->strides[b]);
    if (x == 0 || y == 0) continue;
    if (x != y) return x > y ? 1 : -1;
    if (out.shape[b] > out.shape[a]) return -1;
  }
  return 0;
}

}  // namespace

bool find_reach(DType dtype, const int64_t* shape, const int64_t* strides, int ndim, int64_t& low,
                int64_t& high) {
  int64_t bytes = contiguous_bytes(dtype, shape, ndim), step;
  bool large = bytes < 0, zero = bytes == 0;
  low = high = 0;
  for (int i = 0; i < ndim && !large && !zero; ++i) {
    large |= __builtin_mul_overflow(shape[i] - 1, strides[i], &step);
    int64_t& side = step < 0 ? low : high;
    large |= __builtin_add_overflow(side, step, &side);
  }
  large |= __builtin_sub_overflow(high, low, &step) || __builtin_add_overflow(step, 1, &step);
  return !large && !__builtin_mul_overflow(step, int64_t{bytes_of(dtype)}, &bytes);
}

bool is_dense(const View& x) {
  int order[kMaxDims];
  int64_t want = 1;
  for (int i = axes_by_stride(x, order) - 1; i >= 0; --i) {
    if (x.strides[order[i]] != want) return false;
    want *= x.shape[order[i]];
  }
  return true;
}

static void sort_axes(const View* const* operands, int n, View& out) {
  int order[kMaxDims];
  for (int i = 0; i < out.ndim; ++i) order[i] = i;
  // From the inner axes outwards, so that what nothing is said of stays where it is.
  for (int i = out.ndim - 2; i >= 0; --i) {
    int at = i;
    for (int j = i + 1; j < out.ndim; ++j) {
      int said = outside(operands, n, out, order[at], order[j]);
      if (said > 0) break;
      if (said == 0) continue;
      int axis = order[at];
      order[at] = order[j];
      order[j] = axis;
      at = j;
    }
  }
  set_strides_in_order(out, order);
}

void follow_strides(const View* const* operands, int n, bool same, View& out) {
  bool rows = true, last = true, dense = true;
  for (int k = 0; same && k < n; ++k) {
    rows = rows && operands[k]->contiguous();
    last = last && is_channels_last(*operands[k]);
    dense = dense && equal(operands[k]->strides, operands[0]->strides, out.ndim);
  }
  if (!same || (!rows && !last && !(dense && is_dense(*operands[0]))))
    sort_axes(operands, n, out);
  else if (last && !rows)
    set_strides_in_order(out, kChannelsLast);
  else if (!rows)
    memcpy(out.strides, operands[0]->strides, sizeof(int64_t) * out.ndim);
}

void keep_strides(const View& x, View& out) {
  if (in_order(x)) return;
  if (is_dense(x)) {
    memcpy(out.strides, x.strides, sizeof(int64_t) * x.ndim);
  } else {
    const View* operands[] = {&x};
    sort_axes(operands, 1, out);
  }
}

}  // namespace tl
