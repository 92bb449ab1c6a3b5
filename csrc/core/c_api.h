// What the files of the C ABI share: handles, and the text of the calling thread's last failure.
#pragma once
#include "../tallow.h"
#include "call.h"

struct tl_array {
  tl::Array array;
};

namespace tl {

inline bool known_dtype(int dtype) { return dtype >= 0 && dtype < kDTypeCount; }

// Keeps the text for tl_last_error, and gives it back.
__attribute__((cold, format(printf, 1, 2))) const char* fail(const char* format, ...);
inline const char* fail(const Error& error) { return fail("%s", error.text); }

// A handle of the array; null, with the text kept, where it is not ok().
tl_array* handle(const char* where, Array&& array);
inline tl_array* handle(const char* where, Array&& array, const Error& error) {
  if (error.kind == ErrorKind::none) return handle(where, static_cast<Array&&>(array));
  fail(error);
  return nullptr;
}

}  // namespace tl
