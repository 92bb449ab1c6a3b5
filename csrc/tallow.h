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

/* --- operations: they settle dtypes, shapes and memory, and give new arrays, or NULL on failure
 * ------------------------------------------------------------------------------------------------------
 */

/* An operand that may be a number; numbers weigh less than arrays in promotion. */
enum { TL_BOOLEAN = 4, TL_COMPLEX = 5 };
typedef struct tl_operand {
  int32_t kind; /* TL_ARRAY, TL_BOOLEAN, TL_INTEGER, TL_REAL or TL_COMPLEX */
  tl_array* array;
  int64_t integer;
  double real, imag;
} tl_operand;

static inline tl_operand tl_of_array(tl_array* array) {
  tl_operand operand = {TL_ARRAY, NULL, 0, 0, 0};
  operand.array = array;
  return operand;
}
static inline tl_operand tl_of_boolean(int value) {
  tl_operand operand = {TL_BOOLEAN, NULL, 0, 0, 0};
  operand.integer = value != 0;
  return operand;
}
static inline tl_operand tl_of_integer(int64_t value) {
  tl_operand operand = {TL_INTEGER, NULL, 0, 0, 0};
  operand.integer = value;
  return operand;
}
static inline tl_operand tl_of_real(double value) {
  tl_operand operand = {TL_REAL, NULL, 0, 0, 0};
  operand.real = value;
  return operand;
}
static inline tl_operand tl_of_complex(double real, double imag) {
  tl_operand operand = {TL_COMPLEX, NULL, 0, 0, 0};
  operand.real = real;
  operand.imag = imag;
  return operand;
}

/* The dtype in which operands meet, as in PyTorch: arrays with axes decide, then arrays of none,
 * then numbers; a later group counts only when it is of a higher category. -1 on failure. */
TL_API int tl_promote(const tl_operand* operands, int n);

/* An op of ops/elementwise.def by name: operands promoted and broadcast, then the op's constants
 * (most have none: NULL, 0). The second form writes into an array of the result's shape. */
TL_API tl_array* tl_elementwise(const char* op, const tl_operand* operands, int n,
                                const double* constants, int count);
TL_API const char* tl_elementwise_into(tl_array* target, const char* op, const tl_operand* operands,
                                       int n, const double* constants, int count);

/* "sum", "mean", "prod", "amax", "amin", "any" or "all" over these axes (none: all of them). Sums
 * and products of integers are i64. Of complex numbers there are "sum", "mean", "any" and "all". */
TL_API tl_array* tl_reduce(const char* op, const tl_array* array, const int64_t* axes, int n,
                           int keepdim);

/* (..., m, k) x (..., k, n), promoted, leading axes broadcast; of one axis they are vectors. */
TL_API tl_array* tl_matmul(const tl_array* a, const tl_array* b);

/* In another dtype, to and from block dtypes too; the same array when it has that dtype. */
TL_API tl_array* tl_cast(const tl_array* array, int dtype);
/* In row-major order; the same array when it is. */
TL_API tl_array* tl_contiguous(const tl_array* array);
/* Writes the source, broadcast and converted, into the target. */
TL_API const char* tl_copy(tl_array* target, const tl_array* source);
/* Arrays one after the other along an axis, promoted. */
#define TL_MAX_JOINED 256
TL_API tl_array* tl_cat(tl_array* const* arrays, int n, int64_t axis);

/* A view by name: "reshape" (copies where no view can have the shape), "view", "transpose",
 * "permute", "expand", "squeeze", "unsqueeze", "narrow", "as_strided", "view_dtype",
 * "view_as_real", "view_as_complex". The arguments are lists of integers. */
typedef struct tl_list {
  const int64_t* values;
  int count;
} tl_list;
TL_API tl_array* tl_view(const tl_array* array, const char* name, const tl_list* lists, int n);
/* Its lists, such as "axis:i start:i length:i": i one integer, i? one or none, I any number. */
TL_API const char* tl_view_signature(const char* name);
/* The array seen in a larger shape: "expand". */
TL_API tl_array* tl_broadcast(const tl_array* array, const int64_t* shape, int ndim);

/* A view picked out as by Python's x[1, ::-2, None, ...]. Bounds may be TL_OMITTED. */
enum { TL_INDEX = 0, TL_RANGE = 1, TL_NEW_AXIS = 2, TL_ELLIPSIS = 3 };
#define TL_OMITTED INT64_MIN
typedef struct tl_index {
  int32_t kind;
  int64_t start; /* of TL_INDEX the index */
  int64_t stop, step;
} tl_index;
TL_API tl_array* tl_slice(const tl_array* array, const tl_index* items, int n);

/* The text of this thread's last failure; "" when there was none. */
TL_API const char* tl_last_error(void);

/* --- saved programs (.tlw): plans that share weights and states, run without anything else
 *
 *   tl_program *p = tl_program_open("model.tlw");
 *   int64_t sizes[2] = {2, 128};                      // in the order of tl_plan_size_name
 *   tl_program_set(p, 0, sizes, 2);
 *   tl_array *outputs[1];
 *   const char *error = tl_program_run(p, 0, inputs, 2, outputs, 1);
 *
 * A program may be used from any thread, by one at a time.
 * ------------------------------------------------------------------------------------------------------
 */

typedef struct tl_program tl_program;

/* Maps the file, or borrows bytes, which must stay until `release(owner)` (may be NULL) is called:
 * when the program and all arrays of it are gone, or at once when this call fails. NULL for what is
 * no program of this version. */
TL_API tl_program* tl_program_open(const char* path);
TL_API tl_program* tl_program_open_bytes(const void* data, size_t bytes,
                                         void (*release)(void* owner), void* owner);
TL_API void tl_program_close(tl_program* program); /* NULL is fine */

/* NULL, or which weight or section differs from its checksum; reads the whole file. */
TL_API const char* tl_program_verify(const tl_program* program);
/* Bytes of the file beside the plans, such as "settings" and "tokenizer"; NULL if there are none of
 * this name. */
TL_API const void* tl_program_section(const tl_program* program, const char* name, size_t* bytes);

/* Plans by number, or the number of a name; -1 when there is none. */
TL_API int tl_program_plans(const tl_program* program);
TL_API int tl_program_find(const tl_program* program, const char* name);
TL_API const char* tl_plan_name(const tl_program* program, int plan);

/* Their inputs, outputs and sizes, by number; NULL beyond the last one. */
TL_API const char* tl_plan_input_name(const tl_program* program, int plan, int input);
TL_API const char* tl_plan_output_name(const tl_program* program, int plan, int output);
TL_API const char* tl_plan_size_name(const tl_program* program, int plan, int size);
TL_API const char* tl_plan_size_range(const tl_program* program, int plan, int size, int64_t* least,
                                      int64_t* most);

/* NULL, or why a plan cannot be of these sizes. Needed before the first run, also without sizes.
 * States whose own size changes with it become zeros, as by tl_program_clear. */
TL_API const char* tl_program_set(tl_program* program, int plan, const int64_t* sizes, int n);
TL_API void tl_program_clear(tl_program* program);
/* What an input must be for the sizes that are set; nonzero if there is one of this number. */
TL_API int tl_plan_input_info(const tl_program* program, int plan, int input, tl_info* info);

/* Runs a plan on contiguous inputs. NULL, and the outputs are new arrays to release; or the error,
 * and they are NULL. */
TL_API const char* tl_program_run(tl_program* program, int plan, tl_array* const* inputs, int n,
                                  tl_array** outputs, int m);

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
