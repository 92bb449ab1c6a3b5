// Tensors of block dtypes: as bytes, and of zeros.
#include <cstring>

#include "call.h"
#include "views.h"

namespace tl {

Array view_blocks(const Array& x, DType wanted, const char* where, Error& error) {
  if (wanted == x.dtype) return x;
  if (x.dtype != DType::u8 && wanted != DType::u8) {
    error.set(ErrorKind::dtype, where, "expected u8 beside a block dtype, got %s and %s",
              row(x.dtype).name, row(wanted).name);
    return {};
  }
  const int64_t block = block_of(is_block(wanted) ? wanted : x.dtype);
  const int64_t bytes = bytes_of(is_block(wanted) ? wanted : x.dtype);
  const int64_t from = is_block(wanted) ? bytes : block, to = is_block(wanted) ? block : bytes;
  View out = x;
  out.dtype = wanted;
  bool good = x.ndim > 0 && (x.strides[x.ndim - 1] == 1 || x.shape[x.ndim - 1] <= 1);
  for (int i = 0; i < x.ndim; ++i) {
    int64_t& length = i + 1 == x.ndim ? out.shape[i] : out.strides[i];
    if (i + 1 < x.ndim && x.shape[i] <= 1) length = 0;  // a stride of nothing
    good &= length % from == 0 && !__builtin_mul_overflow(length / from, to, &length);
  }
  if (!good) {
    error.set(ErrorKind::shape, where, "expected a last axis of whole blocks of %s, got shape %s",
              row(is_block(wanted) ? wanted : x.dtype).name, ShapeText(x).text);
    return {};
  }
  out.strides[x.ndim - 1] = 1;
  return x.with(out);
}

bool zero_blocks(Array& x, double value, const char* where, Error& error) {
  if (value != 0)  // bytes of zero are zeros in all of them; nothing else is the same in all
    return error.set(ErrorKind::argument, where, "expected 0 to fill blocks of %s with, got %g",
                     row(x.dtype).name, value);
  const int64_t bytes = x.size() / block_of(x.dtype) * bytes_of(x.dtype);
  if (x.device().type == Device::cpu && bytes > 0) memset(x.data, 0, static_cast<size_t>(bytes));
  return true;
}

}  // namespace tl
