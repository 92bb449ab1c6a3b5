// The C ABI of tallow.h over core: handles are heap-allocated Arrays, errors are texts of the
// calling thread.
#include "c_api.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <new>
#include <utility>

#include "alloc.h"
#include "parallel.h"

namespace tl {
namespace {

static_assert(TL_MAX_DIMS == kMaxDims && TL_MAX_ARGS == kMaxArgs, "tallow.h repeats the limits");

thread_local char last_error[sizeof(Error::text)] = "";

const Kernel* unwrap(const tl_kernel* kernel) { return reinterpret_cast<const Kernel*>(kernel); }

// The table calls the type `bool_`, since C++ has taken the word.
const char* name_of(int dtype) {
  return dtype == static_cast<int>(DType::bool_) ? "bool" : kDTypes[dtype].name;
}

bool good_shape(const char* where, int dtype, const int64_t* shape, int ndim) {
  if (!known_dtype(dtype))
    fail("%s: expected a dtype code, got %d", where, dtype);
  else if (ndim < 0 || ndim > kMaxDims || (ndim && !shape))
    fail("%s: expected 0 to %d axes, got %d", where, kMaxDims, ndim);
  else if (contiguous_bytes(static_cast<DType>(dtype), shape, ndim) < 0)
    fail(
        "%s: expected a shape that %s can have (no negative size, whole blocks, fewer than 2**63 "
        "bytes)",
        where, name_of(dtype));
  else
    return true;
  return false;
}

struct Owner {
  void (*release)(void*);
  void* owner;
};
void release_owner(void* raw) {
  auto* owner = static_cast<Owner*>(raw);
  if (owner->release) owner->release(owner->owner);
  pool_free(owner, sizeof(Owner));
}

}  // namespace

const char* fail(const char* format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(last_error, sizeof last_error, format, values);
  va_end(values);
  return last_error;
}

tl_array* handle(const char* where, Array&& array) {
  void* memory = array.ok() ? pool_alloc(sizeof(tl_array)) : nullptr;
  if (!memory) {
    fail("%s: out of memory", where);
    return nullptr;
  }
  return new (memory) tl_array{std::move(array)};
}

}  // namespace tl

using namespace tl;

extern "C" {

int tl_dtype_by_name(const char* name) {
  for (int i = 0; name && i < kDTypeCount; ++i) {
    if (strcmp(name_of(i), name) == 0) return i;
  }
  fail("tl_dtype_by_name: expected the name of a dtype, got %s", name ? name : "NULL");
  return -1;
}
const char* tl_dtype_name(int dtype) { return known_dtype(dtype) ? name_of(dtype) : nullptr; }
int tl_dtype_bytes(int dtype) { return known_dtype(dtype) ? kDTypes[dtype].bytes : 0; }
int tl_dtype_block(int dtype) { return known_dtype(dtype) ? kDTypes[dtype].block : 0; }

tl_array* tl_array_new(int dtype, const int64_t* shape, int ndim) {
  const char* where = "tl_array_new";
  if (!good_shape(where, dtype, shape, ndim)) return nullptr;
  return handle(where, Array::empty(static_cast<DType>(dtype), shape, ndim));
}

tl_array* tl_array_borrow(int dtype, const int64_t* shape, int ndim, void* data, size_t bytes,
                          int writable, void (*release)(void*), void* owner) {
  const char* where = "tl_array_borrow";
  bool good = good_shape(where, dtype, shape, ndim);
  if (good) {
    auto need = static_cast<size_t>(contiguous_bytes(static_cast<DType>(dtype), shape, ndim));
    good = need <= bytes && (data || need == 0);
    if (!good)
      fail("%s: expected %zu bytes for this shape, got %zu", where, need, data ? bytes : size_t{0});
  }
  void* memory = good ? pool_alloc(sizeof(Owner)) : nullptr;
  if (!memory) {
    if (good) fail("%s: out of memory", where);
    if (release) release(owner);
    return nullptr;
  }
  auto* kept = new (memory) Owner{release, owner};
  Array made = Array::borrow(static_cast<DType>(dtype), shape, ndim, static_cast<std::byte*>(data),
                             bytes, writable != 0, release_owner, kept);
  if (made.ok() && misalignment(made) != 0) {
    if (writable)
      fail("%s: expected writable memory at a multiple of %d bytes", where,
           alignment_of(made.dtype));
    else
      fail("%s: out of memory", where);
    return nullptr;
  }
  return handle(where, std::move(made));
}

tl_array* tl_array_view(const tl_array* array, const int64_t* shape, const int64_t* strides,
                        int ndim, int64_t offset) {
  const char* where = "tl_array_view";
  if (!array || (ndim && !strides)) {
    fail("%s: expected an array and strides, got NULL", where);
    return nullptr;
  }
  Array base = array->array;
  base.sync();
  if (!good_shape(where, static_cast<int>(base.dtype), shape, ndim)) return nullptr;
  int64_t block = block_of(base.dtype), bytes = bytes_of(base.dtype);
  View view = base;
  view.ndim = static_cast<int8_t>(ndim);
  // 128 bits: neither a stride nor an offset can overflow the sum.
  __int128 low = offset, high = offset;
  bool empty = false, whole = offset % block == 0;
  for (int i = 0; i < ndim; ++i) {
    view.shape[i] = shape[i];
    view.strides[i] = strides[i];
    empty |= shape[i] == 0;
    __int128 reach = static_cast<__int128>(shape[i] - 1) * strides[i];
    (reach < 0 ? low : high) += reach;
    if (block > 1) whole &= i == ndim - 1 ? strides[i] == 1 : strides[i] % block == 0;
  }
  __int128 first = static_cast<__int128>(base.byte_offset()) + low / block * bytes;
  __int128 end = static_cast<__int128>(base.byte_offset()) + (high / block + 1) * bytes;
  if (!whole ||
      (!empty && (first < 0 || end > static_cast<__int128>(held_bytes(*base.storage()))))) {
    fail("%s: expected a view inside the storage%s", where, whole ? "" : ", of whole blocks");
    return nullptr;
  }
  if (!empty) view.data += offset / block * bytes;
  return handle(where, base.with(view));
}

void tl_array_release(tl_array* array) {
  if (!array) return;
  array->~tl_array();
  pool_free(array, sizeof(tl_array));
}

void tl_array_info(const tl_array* array, tl_info* info) {
  memset(info, 0, sizeof *info);
  info->dtype = -1;
  if (!array) return;
  const Array& a = array->array;
  info->dtype = static_cast<int>(a.dtype);
  info->ndim = a.ndim;
  memcpy(info->shape, a.shape, sizeof(int64_t) * a.ndim);
  memcpy(info->strides, a.strides, sizeof(int64_t) * a.ndim);
  info->size = a.size();
  info->contiguous = a.contiguous();
  info->writable = a.storage()->writable;
}

void* tl_array_data(const tl_array* array) {
  if (!array) return nullptr;
  return array->array.storage()->data + array->array.byte_offset();
}

const tl_kernel* tl_kernel_find(const char* name) {
  if (const char* error = environment_error()) {
    fail("%s", error);
    return nullptr;
  }
  const Kernel* kernel = name ? kernels().find(name) : nullptr;
  if (!kernel)
    fail("tl_kernel_find: no kernel named %s in the %s build", name ? name : "NULL", isa_name());
  return reinterpret_cast<const tl_kernel*>(kernel);
}

const char* tl_kernel_signature(const tl_kernel* kernel) {
  return kernel ? unwrap(kernel)->signature : nullptr;
}

const char* tl_call(const tl_kernel* kernel, const tl_arg* given, int n) {
  if (!kernel || (n > 0 && !given))
    return fail("tl_call: expected a kernel and arguments, got NULL");
  if (n < 0 || n > kMaxArgs)
    return fail("tl_call: expected at most %d arguments, got %d", kMaxArgs, n);
  Arg args[kMaxArgs];
  for (int i = 0; i < n; ++i) {
    args[i].kind = static_cast<Arg::Kind>(given[i].kind);
    args[i].i = given[i].value.i;
    if (given[i].kind == TL_ARRAY)
      args[i].a = given[i].value.a ? &given[i].value.a->array : nullptr;
    else if (given[i].kind == TL_REAL)
      args[i].f = given[i].value.f;
  }
  Error error;
  return run_checked(*unwrap(kernel), args, n, error) ? nullptr : fail(error);
}

const char* tl_last_error(void) { return last_error; }
int tl_num_threads(void) { return num_threads(); }
void tl_set_num_threads(int n) { set_num_threads(n); }
const char* tl_isa(void) { return isa_name(); }

}  // extern "C"
