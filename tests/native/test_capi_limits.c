/* Shapes that nothing can have, and complex numbers, through tallow.h. */
#include <math.h>
#include <string.h>

#include "check.h"

#define FAR ((int64_t)1 << 40)
#define LONG ((int64_t)1 << 61)

static int code(const char* dtype) { return tl_dtype_by_name(dtype); }

/* Elements, or their bytes, that 63 bits cannot count: also where an axis has no length, since
 * strides are products of the others. */
static const struct {
  int ndim;
  int64_t shape[3];
} kAbsurd[] = {
    {2, {FAR, FAR, 0}}, {3, {FAR, FAR, 0}},      {3, {0, FAR, FAR}},
    {1, {LONG, 0, 0}},  {1, {INT64_MAX, 0, 0}},  {2, {LONG, 2, 0}},
    {2, {2, LONG, 0}},  {3, {1 << 21, FAR, 15}}, {3, {FAR, 1 << 21, 0}},
};

static void test_absurd_shapes(void) {
  const int f32 = code("f32");
  const int64_t one[1] = {1}, none[1] = {0}, still[3] = {0};
  tl_array *x = tl_array_new(f32, one, 1), *empty = tl_array_new(f32, none, 1);
  for (size_t i = 0; i < sizeof kAbsurd / sizeof *kAbsurd; ++i) {
    const int ndim = kAbsurd[i].ndim;
    const int64_t* shape = kAbsurd[i].shape;
    tl_list lists[3] = {{shape, ndim}, {still, ndim}, {still, 1}};
    CHECK(!tl_array_new(f32, shape, ndim) && strstr(tl_last_error(), "fewer than 2**63 bytes"));
    CHECK(!tl_array_borrow(f32, shape, ndim, (void*)shape, 4, 0, NULL, NULL) &&
          strstr(tl_last_error(), "fewer than 2**63 bytes"));
    CHECK(!tl_array_view(x, shape, still, ndim, 0) &&
          strstr(tl_last_error(), "fewer than 2**63 bytes"));
    CHECK(!tl_view(x, "as_strided", lists, 3) && strstr(tl_last_error(), "fewer than 2**63 bytes"));
    CHECK(!tl_view(x, "reshape", lists, 1) && !tl_view(x, "view", lists, 1));
    CHECK(!tl_view(empty, "reshape", lists, 1) && !tl_view(empty, "view", lists, 1));
    int without = 0;
    for (int axis = 0; axis < ndim; ++axis) without |= shape[axis] == 0;
    CHECK(!without || strstr(tl_last_error(), "fewer than 2**63 bytes"));
    CHECK(!tl_broadcast(x, shape, ndim) && strstr(tl_last_error(), "fewer than 2**63 bytes"));
  }
  tl_array_release(x);
  tl_array_release(empty);
}

/* Of operands that exist, repeated: the result does not. */
static void test_absurd_results(void) {
  const int64_t one[2] = {1, 1}, tall[2] = {FAR, 1}, wide[2] = {1, FAR}, bytes[1] = {LONG};
  tl_array *x = tl_array_new(code("f32"), one, 2), *u8 = tl_array_new(code("u8"), one, 1);
  tl_array *a = tl_broadcast(x, tall, 2), *b = tl_broadcast(x, wide, 2);
  tl_array* many = tl_broadcast(u8, bytes, 1);
  CHECK(a && b && many);
  tl_operand pair[2] = {tl_of_array(a), tl_of_array(b)};
  CHECK(!tl_elementwise("add", pair, 2, NULL, 0) && strstr(tl_last_error(), "2**63 bytes"));
  CHECK(!tl_matmul(a, b) && strstr(tl_last_error(), "2**63 bytes"));
  CHECK(!tl_cast(many, code("f64")) && strstr(tl_last_error(), "2**63 bytes"));
  tl_array* four[] = {many, many, many, many};
  CHECK(!tl_cat(four, 4, 0) && strstr(tl_last_error(), "2**63"));
  tl_array* all[] = {x, u8, a, b, many};
  for (int i = 0; i < 5; ++i) tl_array_release(all[i]);
}

static tl_array* complex_of(int ndim, const int64_t* shape, const float* values) {
  tl_array* made = tl_array_new(code("complex64"), shape, ndim);
  tl_info info;
  tl_array_info(made, &info);
  memcpy(tl_array_data(made), values, sizeof(float) * 2 * (size_t)info.size);
  return made;
}

/* Whether the array holds these complex numbers; releases it. */
static int is_complex(tl_array* array, int ndim, const float* values) {
  if (!array) return 0;
  tl_info info;
  tl_array_info(array, &info);
  int same = info.dtype == code("complex64") && info.ndim == ndim;
  tl_array* rows = tl_contiguous(array);
  const float* found = tl_array_data(rows);
  for (int64_t i = 0; same && i < 2 * info.size; ++i) same = fabsf(found[i] - values[i]) < 1e-6f;
  tl_array_release(rows);
  tl_array_release(array);
  return same;
}

static void test_complex_numbers(void) {
  const int64_t square[2] = {2, 2}, pair[1] = {2}, axis[1] = {-1};
  const float m[8] = {1, 1, 0, 2, 3, 0, 0, -1}, v[4] = {0, 1, 2, 0}, real[2] = {1, -2};
  tl_array *a = complex_of(2, square, m), *x = complex_of(1, pair, v),
           *r = tl_array_new(code("f32"), pair, 1);
  memcpy(tl_array_data(r), real, sizeof real);
  CHECK(is_complex(tl_matmul(a, x), 1, (float[]){-1, 5, 0, 1}));
  CHECK(is_complex(tl_matmul(x, a), 1, (float[]){5, 1, -2, -2}));
  CHECK(is_complex(tl_matmul(a, a), 2, (float[]){0, 8, 0, 2, 3, 0, -1, 6}));
  CHECK(is_complex(tl_matmul(a, r), 1, (float[]){1, -3, 3, 2}));
  CHECK(is_complex(tl_matmul(x, x), 0, (float[]){3, 0}));
  CHECK(is_complex(tl_reduce("sum", a, axis, 1, 0), 1, (float[]){1, 3, 3, -1}));
  CHECK(is_complex(tl_reduce("mean", a, NULL, 0, 1), 2, (float[]){1, 0.5f}));
  tl_array* any = tl_reduce("any", a, NULL, 0, 0);
  tl_info info;
  tl_array_info(any, &info);
  CHECK(info.dtype == code("bool") && *(unsigned char*)tl_array_data(any) == 1);
  CHECK(!tl_reduce("prod", a, NULL, 0, 0) && strstr(tl_last_error(), "real numbers"));
  CHECK(!tl_reduce("amax", a, NULL, 0, 0) && strstr(tl_last_error(), "real numbers"));
  CHECK(!tl_reduce("sum", a, (int64_t[]){2}, 1, 0) && strstr(tl_last_error(), "an axis in"));
  tl_array* packed = tl_array_new(code("q8_0"), (int64_t[]){2, 32}, 2);
  CHECK(!tl_matmul(a, packed) && strstr(tl_last_error(), "plain dtypes"));
  tl_array* all[] = {a, x, r, any, packed};
  for (int i = 0; i < 5; ++i) tl_array_release(all[i]);
}

void test_limits(void) {
  test_absurd_shapes();
  test_absurd_results();
  test_complex_numbers();
}
