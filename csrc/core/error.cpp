#include "error.h"

#include <cstdarg>
#include <cstdio>

namespace tl {

bool Error::set(ErrorKind what, const char* where, const char* format, ...) {
  kind = what;
  int head = snprintf(text, sizeof text, "%s: ", where);
  if (head < 0 || head >= static_cast<int>(sizeof text)) return false;
  va_list values;
  va_start(values, format);
  vsnprintf(text + head, sizeof text - static_cast<size_t>(head), format, values);
  va_end(values);
  return false;
}

ShapeText::ShapeText(const int64_t* shape, int ndim) {
  int axes = ndim < 0 ? 0 : ndim < kMaxDims ? ndim : kMaxDims;
  char* at = text;
  *at++ = '(';
  for (int i = 0; i < axes; ++i)
    at += snprintf(at, 23, i ? ", %lld" : "%lld", static_cast<long long>(shape[i]));
  snprintf(at, 3, axes == 1 ? ",)" : ")");
}

}  // namespace tl
