/* The C interface of Tallow: arrays as handles, kernels called by name. Plain C; nothing throws,
 * nothing prints.
 *
 * Functions that can fail return NULL, or a text that says what was wrong (tl_call), and keep the
 * text for tl_last_error. An array may be used from any thread; two threads must not write to the
 * same one at once.
 *
 *   int64_t shape[1] = {3};
 *   tl_array *a = tl_array_new(tl_dtype_by_name("f32"), shape, 1), *out = ...;
 *   tl_arg args[3] = {tl_arg_array(out), tl_arg_array(a), tl_arg_array(a)};
 *   const char *error = tl_call(tl_kernel_find("add"), args, 3);
 */
#ifndef TALLOW_H
#define TALLOW_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define TL_API __declspec(dllexport)
#else
#define TL_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define TL_MAX_DIMS 12
#define TL_MAX_ARGS 24

typedef struct tl_array tl_array;   /* a view of a storage; release it once */
typedef struct tl_kernel tl_kernel; /* lives as long as the library */

/* --- dtypes: codes of the table in core/dtype.def
 * ----------------------------------------------------------------- */

/* The code of "f32", "bool", "q8_0", ...; -1 for any other text. */
TL_API int tl_dtype_by_name(const char* name);
/* The name of a code, or NULL. */
TL_API const char* tl_dtype_name(int dtype);
/* Bytes per block and elements per block (1 for plain dtypes); 0 for a code that does not exist. */
TL_API int tl_dtype_bytes(int dtype);
TL_API int tl_dtype_block(int dtype);

/* --- arrays
 * ---------------------------------------------------------------------------------------------------------
 */

/* Contiguous, elements not set. NULL when the shape is negative, overflows or splits a block, or
 * memory is out. */
TL_API tl_array* tl_array_new(int dtype, const int64_t* shape, int ndim);

/* Borrows `bytes` of contiguous elements at `data`, without a copy. `release(owner)` (may be NULL)
 * is called when the last view dies, or at once when this call fails. Not writable: the first call
 * that writes makes a copy, `data` never changes; at an address that is no multiple of the
 * elements' size it is copied at once. NULL for writable memory at such an address. */
TL_API tl_array* tl_array_borrow(int dtype, const int64_t* shape, int ndim, void* data,
                                 size_t bytes, int writable, void (*release)(void* owner),
                                 void* owner);

/* Another view of the storage of `array`: strides (signed) and offset count elements, the offset
 * from its first element. NULL when an element would lie outside the storage. In block dtypes only
 * whole contiguous rows can be viewed. */
TL_API tl_array* tl_array_view(const tl_array* array, const int64_t* shape, const int64_t* strides,
                               int ndim, int64_t offset);

TL_API void tl_array_release(tl_array* array); /* NULL is fine */

typedef struct tl_info {
  int dtype, ndim;
  int64_t shape[TL_MAX_DIMS];
  int64_t strides[TL_MAX_DIMS]; /* in elements */
  int64_t size;                 /* elements */
  int contiguous, writable;
} tl_info;
TL_API void tl_array_info(const tl_array* array, tl_info* info);

/* The first element, for reading; writing to it is allowed when info says writable. A write by a
 * call to an array that was not writable moves it: ask again afterwards. */
TL_API void* tl_array_data(const tl_array* array);

/* --- kernels
 * ---------------------------------------------------------------------------------------------------------
 */

enum { TL_NONE = 0, TL_ARRAY = 1, TL_INTEGER = 2, TL_REAL = 3 };
typedef struct tl_arg {
  int32_t kind;
  union {
    tl_array* a;
    int64_t i;
    double f;
  } value;
} tl_arg;

static inline tl_arg tl_arg_array(tl_array* a) {
  tl_arg arg;
  arg.kind = TL_ARRAY;
  arg.value.a = a;
  return arg;
}
static inline tl_arg tl_arg_integer(int64_t i) {
  tl_arg arg;
  arg.kind = TL_INTEGER;
  arg.value.i = i;
  return arg;
}
static inline tl_arg tl_arg_real(double f) {
  tl_arg arg;
  arg.kind = TL_REAL;
  arg.value.f = f;
  return arg;
}
static inline tl_arg tl_arg_none(void) {
  tl_arg arg;
  arg.kind = TL_NONE;
  arg.value.i = 0;
  return arg;
}

/* The kernel of this name in the build that the CPU runs, or NULL. */
TL_API const tl_kernel* tl_kernel_find(const char* name);
/* Its arguments, such as "out:out x:in weight:in? eps:f": `in` an array that is read, `out` one
 * that is written as a whole, `inout` one that is read and written, `?` may be none; i an integer,
 * f a real. */
TL_API const char* tl_kernel_signature(const tl_kernel* kernel);

/* Runs the kernel. NULL, or the text of the error, which stays until this thread's next failure. */
TL_API const char* tl_call(const tl_kernel* kernel, const tl_arg* args, int n);

/* The text of this thread's last failure; "" when there was none. */
TL_API const char* tl_last_error(void);

/* --- the machine
 * ------------------------------------------------------------------------------------------------------
 */

TL_API int tl_num_threads(void);
TL_API void tl_set_num_threads(int n); /* n < 1 restores the default */
TL_API const char* tl_isa(void);       /* "baseline", "avx2", ... */

#ifdef __cplusplus
}
#endif
#endif
