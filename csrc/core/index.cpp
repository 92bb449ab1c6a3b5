#include "index.h"

namespace tl {
namespace {

constexpr const char* kWhere = "index";
using Long = long long;

bool select(View& v, int axis, int64_t index, Error& error) {
  const int64_t n = v.shape[axis];
  if (index < -n || index >= n)
    return error.set(ErrorKind::index, kWhere,
                     "index %lld is out of range for axis %d of length %lld",
                     static_cast<Long>(index), axis, static_cast<Long>(n));
  if (!keep_blocks(v, axis != v.ndim - 1, kWhere, error)) return false;
  shift(v, index < 0 ? index + n : index, v.strides[axis]);
  remove_axis(v, axis);
  return true;
}

// A bound inside [low, high], counted from the front.
int64_t bound(int64_t at, int64_t n, int64_t low, int64_t high) {
  if (at < 0) at += n;
  return at < low ? low : at > high ? high : at;
}

bool slice(View& v, int axis, const IndexItem& item, Error& error) {
  if (item.step == 0)
    return error.set(ErrorKind::argument, "slice", "expected a step other than 0, got 0");
  const int64_t n = v.shape[axis];
  const bool back = item.step < 0;
  const int64_t low = back ? -1 : 0, high = back ? n - 1 : n;
  constexpr int64_t kOmitted = IndexItem::kOmitted;
  const int64_t start =
                    item.start == kOmitted ? (back ? high : low) : bound(item.start, n, low, high),
                stop = item.stop == kOmitted ? (back ? low : high) : bound(item.stop, n, low, high);
  // The step's magnitude as an unsigned number: that of INT64_MIN is one, too.
  const uint64_t step = back ? -static_cast<uint64_t>(item.step) : static_cast<uint64_t>(item.step);
  const int64_t distance = back ? start - stop : stop - start;
  const int64_t count =
      distance <= 0 ? 0 : static_cast<int64_t>((static_cast<uint64_t>(distance) - 1) / step + 1);
  const bool whole = count == n && item.step == 1;
  if (!whole && axis == v.ndim - 1 && is_block(v.dtype)) {
    const int block = block_of(v.dtype);
    const bool cuts = item.step == 1 && start % block == 0 && count % block == 0;
    if (!keep_blocks(v, cuts, "slice", error)) return false;
  }
  if (count > 0) shift(v, start, v.strides[axis]);
  v.shape[axis] = count;
  // A step longer than the axis could overflow, and so could the stride of what has no elements.
  if (count > 1) __builtin_mul_overflow(v.strides[axis], item.step, &v.strides[axis]);
  return true;
}

}  // namespace

Array index(const Array& x, const IndexItem* items, int n, Error& error) {
  int used = 0, ellipses = 0;
  for (int i = 0; i < n; ++i) {
    ellipses += items[i].kind == IndexItem::ellipsis;
    used += items[i].kind == IndexItem::integer || items[i].kind == IndexItem::slice;
  }
  if (ellipses > 1) {
    error.set(ErrorKind::index, kWhere, "expected at most one ellipsis, got more");
    return {};
  }
  if (used > x.ndim) {
    error.set(ErrorKind::index, kWhere, "expected at most %d indices for shape %s, got %d", x.ndim,
              ShapeText(x).text, used);
    return {};
  }
  View v = x;
  int axis = 0;
  for (int i = 0; i < n; ++i) {
    bool ok = true;
    switch (items[i].kind) {
      case IndexItem::ellipsis:
        axis += x.ndim - used;
        break;
      case IndexItem::new_axis:
        ok = insert_axis(v, axis++, kWhere, error);
        break;
      case IndexItem::slice:
        ok = slice(v, axis++, items[i], error);
        break;
      default:
        ok = select(v, axis, items[i].start, error);
    }
    if (!ok) return {};
  }
  return x.with(v);
}

}  // namespace tl
