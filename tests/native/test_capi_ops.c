/* Drives the operations of tallow.h from plain C: adds, slices, broadcasts, multiplies and reduces
 * with promotion, against values worked out by hand (dtypes as PyTorch's), and what must be
 * refused.
 */
#include <math.h>
#include <string.h>

#include "check.h"

static int code(const char* dtype) { return tl_dtype_by_name(dtype); }
static tl_list list(const int64_t* values, int count) {
  tl_list made = {values, count};
  return made;
}

/* A new array that holds these values, converted to the dtype. */
static tl_array* array_of(const char* dtype, int ndim, const int64_t* shape, const double* values) {
  tl_array* wide = tl_array_new(code("f64"), shape, ndim);
  tl_info info;
  tl_array_info(wide, &info);
  memcpy(tl_array_data(wide), values, sizeof(double) * (size_t)info.size);
  tl_array* made = tl_cast(wide, code(dtype));
  tl_array_release(wide);
  return made;
}
static tl_array* vector(const char* dtype, int n, const double* values) {
  int64_t shape[1] = {n};
  return array_of(dtype, 1, shape, values);
}

/* Whether the array has this dtype, shape and, in row-major order, these values; releases it. */
static int holds(tl_array* array, const char* dtype, int ndim, const int64_t* shape,
                 const double* values) {
  if (!array) return 0;
  tl_info info;
  tl_array_info(array, &info);
  int same = info.dtype == code(dtype) && info.ndim == ndim;
  for (int i = 0; same && i < ndim; ++i) same = info.shape[i] == shape[i];
  tl_array *wide = tl_cast(array, code("f64")), *rows = tl_contiguous(wide);
  const double* found = tl_array_data(rows);
  for (int64_t i = 0; same && i < info.size; ++i)
    same = fabs(found[i] - values[i]) < 1e-6 || (isnan(found[i]) && isnan(values[i]));
  tl_array_release(wide);
  tl_array_release(rows);
  tl_array_release(array);
  return same;
}

static tl_array* binary(const char* op, tl_operand a, tl_operand b) {
  tl_operand both[2] = {a, b};
  return tl_elementwise(op, both, 2, NULL, 0);
}
static int promoted(tl_operand a, tl_operand b) {
  tl_operand both[2] = {a, b};
  return tl_promote(both, 2);
}

static const int64_t three[1] = {3}, grid[2] = {2, 3}, two[1] = {2};
static const double small[6] = {1, 2, 3, 4, 5, 6};

static void test_promotion(void) {
  tl_array *bytes = vector("u8", 3, small), *ints = vector("i32", 3, small),
           *halves = vector("f16", 3, small), *brains = vector("bf16", 3, small),
           *zero = array_of("f64", 0, NULL, small);
  CHECK(promoted(tl_of_array(bytes), tl_of_array(ints)) == code("i32"));
  CHECK(promoted(tl_of_array(halves), tl_of_array(brains)) == code("f32"));
  CHECK(promoted(tl_of_array(halves), tl_of_array(zero)) == code("f16"));
  CHECK(promoted(tl_of_array(ints), tl_of_array(zero)) == code("f64"));
  CHECK(promoted(tl_of_array(bytes), tl_of_integer(1000)) == code("u8"));
  CHECK(promoted(tl_of_array(ints), tl_of_real(0.5)) == code("f32"));
  CHECK(promoted(tl_of_array(halves), tl_of_complex(0, 1)) == code("complex64"));
  CHECK(promoted(tl_of_boolean(1), tl_of_integer(1)) == code("i64"));

  CHECK(holds(binary("add", tl_of_array(bytes), tl_of_array(ints)), "i32", 1, three,
              (double[]){2, 4, 6}));
  CHECK(holds(binary("mul", tl_of_array(ints), tl_of_real(0.5)), "f32", 1, three,
              (double[]){0.5, 1, 1.5}));
  CHECK(holds(binary("div", tl_of_array(ints), tl_of_integer(2)), "f32", 1, three,
              (double[]){0.5, 1, 1.5}));
  CHECK(holds(binary("add", tl_of_array(halves), tl_of_array(brains)), "f32", 1, three,
              (double[]){2, 4, 6}));
  CHECK(holds(binary("pow", tl_of_array(ints), tl_of_integer(3)), "i32", 1, three,
              (double[]){1, 8, 27}));
  CHECK(holds(binary("gt", tl_of_array(bytes), tl_of_real(1.5)), "bool", 1, three,
              (double[]){0, 1, 1}));
  CHECK(holds(binary("sub", tl_of_integer(10), tl_of_array(bytes)), "u8", 1, three,
              (double[]){9, 8, 7}));
  tl_operand one = tl_of_array(ints);
  CHECK(holds(tl_elementwise("sqrt", &one, 1, NULL, 0), "f32", 1, three,
              (double[]){1, sqrt(2), sqrt(3)}));
  one = tl_of_array(halves);
  CHECK(holds(tl_elementwise("clamp", &one, 1, (double[]){1.5, 2.5, 0}, 3), "f16", 1, three,
              (double[]){1.5, 2, 2.5}));
  tl_array_release(bytes);
  tl_array_release(ints);
  tl_array_release(halves);
  tl_array_release(brains);
  tl_array_release(zero);
}

static void test_broadcasting(void) {
  tl_array *a = array_of("f32", 2, grid, small), *row = vector("i64", 3, (double[]){10, 20, 30}),
           *column = array_of("f32", 2, (int64_t[]){2, 1}, (double[]){1, 2});
  CHECK(holds(binary("add", tl_of_array(a), tl_of_array(row)), "f32", 2, grid,
              (double[]){11, 22, 33, 14, 25, 36}));
  CHECK(holds(binary("mul", tl_of_array(row), tl_of_array(column)), "f32", 2, grid,
              (double[]){10, 20, 30, 20, 40, 60}));
  CHECK(holds(tl_broadcast(row, grid, 2), "i64", 2, grid, (double[]){10, 20, 30, 10, 20, 30}));
  tl_array* mask = binary("gt", tl_of_array(a), tl_of_integer(3));
  tl_operand choice[3] = {tl_of_array(mask), tl_of_array(row), tl_of_real(-1)};
  CHECK(holds(tl_elementwise("where", choice, 3, NULL, 0), "f32", 2, grid,
              (double[]){-1, -1, -1, 10, 20, 30}));

  /* In place, reading what is written; a result of the axes' order of its operands. */
  tl_operand both[2] = {tl_of_array(a), tl_of_array(row)};
  CHECK(tl_elementwise_into(a, "add", both, 2, NULL, 0) == NULL);
  tl_array* turned =
      tl_view(a, "transpose", (tl_list[]){{(int64_t[]){0}, 1}, {(int64_t[]){1}, 1}}, 2);
  tl_operand same[2] = {tl_of_array(turned), tl_of_array(turned)};
  tl_array* sum = tl_elementwise("add", same, 2, NULL, 0);
  tl_info info;
  tl_array_info(sum, &info);
  CHECK(info.shape[0] == 3 && info.strides[0] == 1 && info.strides[1] == 3);
  CHECK(holds(sum, "f32", 2, (int64_t[]){3, 2}, (double[]){22, 28, 44, 50, 66, 72}));
  CHECK(tl_copy(a, row) == NULL);
  CHECK(holds(a, "f32", 2, grid, (double[]){10, 20, 30, 10, 20, 30}));
  tl_array_release(row);
  tl_array_release(column);
  tl_array_release(mask);
  tl_array_release(turned);
}

static tl_index at(int64_t index) {
  tl_index item = {TL_INDEX, index, 0, 0};
  return item;
}
static tl_index range(int64_t start, int64_t stop, int64_t step) {
  tl_index item = {TL_RANGE, start, stop, step};
  return item;
}

static void test_slices(void) {
  const tl_index fresh = {TL_NEW_AXIS, 0, 0, 0}, rest = {TL_ELLIPSIS, 0, 0, 0};
  tl_array* a = array_of("i16", 2, grid, small);
  CHECK(holds(tl_slice(a, (tl_index[]){at(-1)}, 1), "i16", 1, three, (double[]){4, 5, 6}));
  CHECK(holds(tl_slice(a, (tl_index[]){rest, at(1)}, 2), "i16", 1, two, (double[]){2, 5}));
  CHECK(holds(
      tl_slice(a, (tl_index[]){range(TL_OMITTED, TL_OMITTED, 1), range(TL_OMITTED, TL_OMITTED, -2)},
               2),
      "i16", 2, (int64_t[]){2, 2}, (double[]){3, 1, 6, 4}));
  CHECK(holds(tl_slice(a, (tl_index[]){at(0), fresh, range(-2, 100, 1)}, 3), "i16", 2,
              (int64_t[]){1, 2}, (double[]){2, 3}));
  CHECK(holds(tl_slice(a, (tl_index[]){range(1, INT64_MAX, INT64_MAX)}, 1), "i16", 2,
              (int64_t[]){1, 3}, (double[]){4, 5, 6}));
  CHECK(holds(tl_slice(a, (tl_index[]){range(5, TL_OMITTED, INT64_MIN)}, 1), "i16", 2,
              (int64_t[]){1, 3}, (double[]){4, 5, 6}));
  CHECK(holds(tl_slice(a, (tl_index[]){range(2, 1, 1)}, 1), "i16", 2, (int64_t[]){0, 3}, NULL));

  /* A write through a slice is seen by all views. */
  tl_array *part = tl_slice(a, (tl_index[]){at(1)}, 1), *seven = vector("f32", 1, (double[]){7.9});
  CHECK(tl_copy(part, seven) == NULL);
  CHECK(holds(tl_view(a, "reshape", (tl_list[]){{(int64_t[]){-1}, 1}}, 1), "i16", 1, (int64_t[]){6},
              (double[]){1, 2, 3, 7, 7, 7}));
  tl_array_release(a);
  tl_array_release(part);
  tl_array_release(seven);
}

static void test_views(void) {
  const int64_t zero[1] = {0}, one[1] = {1}, last[1] = {-1}, flat[1] = {6}, steps[2] = {1, 1};
  tl_array* a = array_of("f32", 2, grid, small);
  CHECK(strcmp(tl_view_signature("narrow"), "axis:i start:i length:i") == 0);
  CHECK(holds(tl_view(a, "view", (tl_list[]){list(flat, 1)}, 1), "f32", 1, flat, small));
  CHECK(holds(tl_view(a, "permute", (tl_list[]){list((int64_t[]){1, 0}, 2)}, 1), "f32", 2,
              (int64_t[]){3, 2}, (double[]){1, 4, 2, 5, 3, 6}));
  CHECK(holds(tl_view(a, "narrow", (tl_list[]){list(last, 1), list(one, 1), list(one, 1)}, 3),
              "f32", 2, (int64_t[]){2, 1}, (double[]){2, 5}));
  CHECK(holds(tl_view(a, "as_strided", (tl_list[]){list(two, 1), list(steps, 1), list(one, 1)}, 3),
              "f32", 1, two, (double[]){2, 3}));
  tl_array* deep = tl_view(a, "unsqueeze", (tl_list[]){list(zero, 1)}, 1);
  CHECK(holds(tl_view(deep, "squeeze", (tl_list[]){list(NULL, 0)}, 1), "f32", 2, grid, small));
  CHECK(holds(tl_view(deep, "squeeze", (tl_list[]){list(last, 1)}, 1), "f32", 3,
              (int64_t[]){1, 2, 3}, small));
  tl_array *pairs = array_of("f32", 2, (int64_t[]){2, 2}, small),
           *complex = tl_view(pairs, "view_as_complex", NULL, 0);
  tl_operand operand = tl_of_array(complex);
  CHECK(holds(tl_elementwise("abs", &operand, 1, NULL, 0), "f32", 1, two, (double[]){sqrt(5), 5}));
  tl_array* joined[2] = {a, pairs};
  CHECK(tl_cat(joined, 2, 0) == NULL && strstr(tl_last_error(), "cat: expected shapes equal"));
  CHECK(holds(tl_cat(joined, 2, 1), "f32", 2, (int64_t[]){2, 5},
              (double[]){1, 2, 3, 1, 2, 4, 5, 6, 3, 4}));
  tl_array_release(a);
  tl_array_release(deep);
  tl_array_release(pairs);
  tl_array_release(complex);
}

static void test_reductions(void) {
  const int64_t zero[1] = {0}, last[1] = {-1};
  tl_array *a = array_of("i32", 2, grid, small), *f = array_of("f16", 2, grid, small),
           *none = tl_array_new(code("f32"), (int64_t[]){0, 3}, 2);
  CHECK(holds(tl_reduce("sum", a, NULL, 0, 0), "i64", 0, NULL, (double[]){21}));
  CHECK(holds(tl_reduce("prod", a, last, 1, 1), "i64", 2, (int64_t[]){2, 1}, (double[]){6, 120}));
  CHECK(holds(tl_reduce("mean", f, zero, 1, 0), "f16", 1, three, (double[]){2.5, 3.5, 4.5}));
  CHECK(holds(tl_reduce("amax", a, last, 1, 0), "i32", 1, two, (double[]){3, 6}));
  CHECK(holds(tl_reduce("any", a, (int64_t[]){0, 1}, 2, 0), "bool", 0, NULL, (double[]){1}));
  CHECK(holds(tl_reduce("sum", none, zero, 1, 0), "f32", 1, three, (double[]){0, 0, 0}));
  CHECK(holds(tl_reduce("argmax", a, last, 1, 1), "i64", 2, (int64_t[]){2, 1}, (double[]){2, 2}));
  CHECK(holds(tl_reduce("argmin", f, NULL, 0, 0), "i64", 0, NULL, (double[]){0}));
  CHECK(tl_reduce("argmax", a, (int64_t[]){0, 1}, 2, 0) == NULL &&
        strstr(tl_last_error(), "argmax: expected one axis, got 2"));
  CHECK(tl_reduce("amax", none, zero, 1, 0) == NULL &&
        strstr(tl_last_error(), "at least one element"));
  CHECK(tl_reduce("mean", a, NULL, 0, 0) == NULL && strstr(tl_last_error(), "a float dtype"));
  CHECK(tl_reduce("sum", a, (int64_t[]){0, -2}, 2, 0) == NULL &&
        strstr(tl_last_error(), "axis 0 twice"));
  CHECK(tl_reduce("sum", a, (int64_t[]){2}, 1, 0) == NULL);
  CHECK(tl_reduce("median", a, NULL, 0, 0) == NULL && strstr(tl_last_error(), "median"));
  tl_array_release(a);
  tl_array_release(f);
  tl_array_release(none);
}

static void test_products(void) {
  tl_array *a = array_of("i32", 2, grid, small), *v = vector("f32", 3, small),
           *batch = array_of("f32", 3, (int64_t[]){2, 3, 1}, small);
  CHECK(holds(tl_matmul(a, v), "f32", 1, two, (double[]){14, 32}));
  CHECK(holds(tl_matmul(v, v), "f32", 0, NULL, (double[]){14}));
  CHECK(holds(tl_matmul(a, batch), "f32", 3, (int64_t[]){2, 2, 1}, (double[]){14, 32, 32, 77}));
  CHECK(holds(tl_matmul(v, batch), "f32", 2, (int64_t[]){2, 1}, (double[]){14, 32}));
  CHECK(tl_matmul(a, a) == NULL && strstr(tl_last_error(), "inner sizes that agree, got (2, 3)"));
  tl_array* packed = tl_array_new(code("q8_0"), (int64_t[]){3, 32}, 2);
  CHECK(tl_matmul(a, packed) == NULL && strstr(tl_last_error(), "q8_0"));
  tl_array_release(a);
  tl_array_release(v);
  tl_array_release(batch);
  tl_array_release(packed);
}

static void test_casts(void) {
  int64_t rows[2] = {2, 32};
  tl_array* x = tl_array_new(code("f32"), rows, 2);
  for (int i = 0; i < 64; ++i) ((float*)tl_array_data(x))[i] = (float)(i % 5 - 2);
  tl_array *packed = tl_cast(x, code("q8_0")), *back = tl_cast(packed, code("f64"));
  tl_info info;
  tl_array_info(packed, &info);
  CHECK(info.dtype == code("q8_0") && info.shape[1] == 32);
  for (int i = 0; i < 64; ++i)
    CHECK(fabs(((double*)tl_array_data(back))[i] - (i % 5 - 2)) < 2.0 / 127);
  tl_array* half = tl_slice(packed, (tl_index[]){at(1)}, 1);
  tl_array_info(half, &info);
  CHECK(info.ndim == 1 && info.shape[0] == 32);
  CHECK(tl_slice(half, (tl_index[]){range(1, 3, 1)}, 1) == NULL &&
        strstr(tl_last_error(), "stored in blocks"));
  tl_operand operand = tl_of_array(packed);
  CHECK(tl_elementwise("neg", &operand, 1, NULL, 0) == NULL &&
        strstr(tl_last_error(), "neg: expected a plain dtype, got q8_0"));
  tl_array* odd = tl_array_new(code("f32"), three, 1);
  CHECK(tl_cast(odd, code("q8_0")) == NULL && tl_cast(odd, 1000) == NULL);
  tl_array_release(x);
  tl_array_release(packed);
  tl_array_release(back);
  tl_array_release(half);
  tl_array_release(odd);
}

/* Calls of a hostile program: each is refused with a text, and nothing crashes. */
static void test_refused_operations(void) {
  tl_array *a = array_of("i32", 2, grid, small), *b = vector("f32", 2, small),
           *truth = array_of("bool", 2, grid, small);
  tl_operand pair[3] = {tl_of_array(a), tl_of_array(b), tl_of_integer(1)};
  CHECK(tl_elementwise("add", pair, 2, NULL, 0) == NULL &&
        strstr(tl_last_error(), "add: expected shapes that broadcast, got (2, 3) and (2,)"));
  CHECK(tl_elementwise("add", pair, 3, NULL, 0) == NULL);
  CHECK(tl_elementwise("add", NULL, 2, NULL, 0) == NULL);
  CHECK(tl_elementwise("clamp", pair, 1, NULL, 3) == NULL);
  CHECK(tl_elementwise(NULL, pair, 2, NULL, 0) == NULL);
  CHECK(tl_elementwise("no such op", pair, 2, NULL, 0) == NULL);
  CHECK(binary("add", tl_of_integer(1), tl_of_integer(2)) == NULL);
  CHECK(binary("add", tl_of_array(NULL), tl_of_array(a)) == NULL);
  CHECK(binary("sub", tl_of_array(truth), tl_of_array(truth)) == NULL &&
        strstr(tl_last_error(), "sub: expected numbers, got bool"));
  CHECK(binary("lt", tl_of_array(a), tl_of_complex(0, 1)) == NULL);
  CHECK(binary("bitwise_and", tl_of_array(b), tl_of_integer(1)) == NULL);
  CHECK(binary("pow", tl_of_array(a), tl_of_integer(-1)) == NULL);
  CHECK(binary("floor_divide", tl_of_array(a), tl_of_integer(0)) == NULL);
  tl_operand unknown = {77, a, 0, 0, 0};
  CHECK(binary("add", unknown, tl_of_array(a)) == NULL && tl_promote(&unknown, 1) == -1);
  CHECK(tl_promote(NULL, 1) == -1 && tl_promote(pair, 0) == -1);
  tl_operand change[2] = {tl_of_array(a), tl_of_real(0.5)};
  CHECK(strstr(tl_elementwise_into(a, "mul", change, 2, NULL, 0), "cannot be stored into i32"));
  CHECK(tl_elementwise_into(b, "add", change, 2, NULL, 0) != NULL);
  CHECK(tl_elementwise_into(NULL, "add", change, 2, NULL, 0) != NULL);
  tl_array* wide = tl_broadcast(b, (int64_t[]){4, 2}, 2);
  CHECK(strstr(tl_copy(wide, b), "lie apart") && tl_copy(a, b) != NULL && tl_copy(NULL, b) != NULL);

  const tl_index twice[2] = {{TL_ELLIPSIS, 0, 0, 0}, {TL_ELLIPSIS, 0, 0, 0}};
  CHECK(tl_slice(a, (tl_index[]){at(2)}, 1) == NULL && strstr(tl_last_error(), "out of range"));
  CHECK(tl_slice(a, (tl_index[]){at(INT64_MIN)}, 1) == NULL);
  CHECK(tl_slice(a, (tl_index[]){range(0, 1, 0)}, 1) == NULL && tl_slice(a, twice, 2) == NULL);
  CHECK(tl_slice(a, (tl_index[]){at(0), at(0), at(0)}, 3) == NULL);
  CHECK(tl_slice(a, NULL, 1) == NULL && tl_slice(a, twice, -1) == NULL);
  CHECK(tl_slice(a, twice, 1000) == NULL && tl_slice(NULL, twice, 1) == NULL);
  CHECK(tl_slice(a, (tl_index[]){{9, 0, 0, 0}}, 1) == NULL);

  const int64_t many[13] = {1}, huge[3] = {INT64_MAX, INT64_MAX, 2}, minus[1] = {-7};
  const tl_list long_list = list(many, 13), huge_list = list(huge, 3), none = list(NULL, 5);
  CHECK(tl_view(a, "reshape", &long_list, 1) == NULL &&
        tl_view(a, "expand", &long_list, 1) == NULL);
  CHECK(tl_view(a, "reshape", &huge_list, 1) == NULL &&
        tl_view(a, "permute", &huge_list, 1) == NULL);
  CHECK(tl_view(a, "reshape", &none, 1) == NULL && tl_view(a, "reshape", NULL, 1) == NULL);
  CHECK(tl_view(a, "unsqueeze", &huge_list, 1) == NULL && tl_view(a, "view", &none, -1) == NULL);
  CHECK(tl_view(a, "expand", (tl_list[]){list(minus, 1)}, 1) == NULL);
  CHECK(tl_view(a, "as_strided", (tl_list[]){huge_list, huge_list, list(minus, 1)}, 3) == NULL);
  CHECK(tl_view(a, "view_dtype", (tl_list[]){list(minus, 1)}, 1) == NULL);
  CHECK(tl_view(a, "flip", NULL, 0) == NULL && tl_view(NULL, "view", NULL, 0) == NULL);
  CHECK(tl_view_signature(NULL) == NULL && tl_broadcast(a, three, 1) == NULL);
  CHECK(tl_cat(NULL, 1, 0) == NULL && tl_cat(&a, 0, 0) == NULL && tl_cat(&a, 1, 2) == NULL);
  CHECK(tl_matmul(a, NULL) == NULL && tl_cast(NULL, 0) == NULL && tl_contiguous(NULL) == NULL);
  CHECK(tl_reduce(NULL, a, NULL, 0, 0) == NULL && tl_reduce("sum", a, NULL, 1, 0) == NULL);
  tl_array_release(a);
  tl_array_release(b);
  tl_array_release(truth);
  tl_array_release(wide);
}

void test_operations(void) {
  test_promotion();
  test_broadcasting();
  test_slices();
  test_views();
  test_reductions();
  test_products();
  test_casts();
  test_refused_operations();
}
