/* Drives tallow.h from plain C: arrays, views, three kernels against loops written here, and calls
 * that must be refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

int failures = 0, checks = 0;

static tl_array* floats(int rows, int columns) {
  int64_t shape[2] = {rows, columns};
  return tl_array_new(tl_dtype_by_name("f32"), shape, 2);
}
static float* at(tl_array* a) { return (float*)tl_array_data(a); }
static float wave(int i) { return sinf((float)i * 0.7f) * 2.0f; }

static tl_array* waves(int rows, int columns) {
  tl_array* a = floats(rows, columns);
  for (int i = 0; i < rows * columns; ++i) at(a)[i] = wave(i);
  return a;
}

static void test_dtypes(void) {
  CHECK(strcmp(tl_dtype_name(tl_dtype_by_name("bool")), "bool") == 0);
  CHECK(tl_dtype_bytes(tl_dtype_by_name("q8_0")) == 34 &&
        tl_dtype_block(tl_dtype_by_name("q8_0")) == 32);
  CHECK(tl_dtype_by_name("f31") == -1 && strstr(tl_last_error(), "f31"));
  CHECK(tl_dtype_by_name(NULL) == -1 && tl_dtype_name(-1) == NULL && tl_dtype_name(1000) == NULL);
}

static void test_add(void) {
  tl_array *a = waves(3, 5), *b = waves(3, 5), *out = floats(3, 5);
  tl_arg args[3] = {tl_arg_array(out), tl_arg_array(a), tl_arg_array(b)};
  CHECK(tl_call(tl_kernel_find("add"), args, 3) == NULL);
  for (int i = 0; i < 15; ++i) CHECK(at(out)[i] == 2 * wave(i));

  /* A transposed view of a, added to itself into the transpose of out. */
  int64_t shape[2] = {5, 3}, strides[2] = {1, 5};
  tl_array *at_view = tl_array_view(a, shape, strides, 2, 0),
           *out_view = tl_array_view(out, shape, strides, 2, 0);
  tl_arg turned[3] = {tl_arg_array(out_view), tl_arg_array(at_view), tl_arg_array(at_view)};
  CHECK(tl_call(tl_kernel_find("mul"), turned, 3) == NULL);
  for (int i = 0; i < 15; ++i) CHECK(at(out)[i] == wave(i) * wave(i));
  tl_info info;
  tl_array_info(at_view, &info);
  CHECK(info.ndim == 2 && info.shape[0] == 5 && info.strides[1] == 5 && !info.contiguous &&
        info.size == 15);
  tl_array_release(at_view);
  tl_array_release(out_view);
  tl_array_release(a);
  tl_array_release(b);
  tl_array_release(out);
}

static void test_rms_norm(void) {
  tl_array *x = waves(4, 40), *w = waves(1, 40), *out = floats(4, 40);
  int64_t shape[1] = {40}, strides[1] = {1};
  tl_array* weight = tl_array_view(w, shape, strides, 1, 0);
  tl_arg args[4] = {tl_arg_array(out), tl_arg_array(x), tl_arg_array(weight), tl_arg_real(1e-6)};
  CHECK(tl_call(tl_kernel_find("rms_norm"), args, 4) == NULL);
  for (int r = 0; r < 4; ++r) {
    double squares = 0;
    for (int i = 0; i < 40; ++i) squares += (double)at(x)[r * 40 + i] * at(x)[r * 40 + i];
    double scale = 1 / sqrt(squares / 40 + 1e-6);
    for (int i = 0; i < 40; ++i)
      CHECK(fabs(at(out)[r * 40 + i] - at(x)[r * 40 + i] * scale * wave(i)) < 1e-5);
  }
  args[2] = tl_arg_none(); /* the weight may be left out */
  CHECK(tl_call(tl_kernel_find("rms_norm"), args, 4) == NULL);
  args[3] = tl_arg_integer(1);
  CHECK(tl_call(tl_kernel_find("rms_norm"), args, 4) != NULL);
  tl_array_release(weight);
  tl_array_release(w);
  tl_array_release(x);
  tl_array_release(out);
}

static void test_linear_of_q8_0(void) {
  int64_t shape[2] = {6, 64};
  tl_array *w = waves(6, 64), *packed = tl_array_new(tl_dtype_by_name("q8_0"), shape, 2);
  tl_array *unpacked = floats(6, 64), *x = waves(3, 64), *out = floats(3, 6);
  tl_arg pack[3] = {tl_arg_array(packed), tl_arg_array(w), tl_arg_none()};
  CHECK(tl_call(tl_kernel_find("quantize"), pack, 3) == NULL);
  tl_arg unpack[2] = {tl_arg_array(unpacked), tl_arg_array(packed)};
  CHECK(tl_call(tl_kernel_find("dequantize"), unpack, 2) == NULL);
  for (int i = 0; i < 6 * 64; ++i) CHECK(fabsf(at(unpacked)[i] - wave(i)) <= 2.0f / 127);
  tl_arg args[5] = {tl_arg_array(out), tl_arg_array(x), tl_arg_array(packed), tl_arg_none(),
                    tl_arg_integer(1)};
  CHECK(tl_call(tl_kernel_find("linear"), args, 5) == NULL);
  for (int r = 0; r < 3; ++r) {
    for (int c = 0; c < 6; ++c) {
      double sum = 0;
      for (int i = 0; i < 64; ++i) sum += (double)at(x)[r * 64 + i] * at(unpacked)[c * 64 + i];
      CHECK(fabs(at(out)[r * 6 + c] - sum) < 1e-3);
    }
  }
  tl_array_release(w);
  tl_array_release(packed);
  tl_array_release(unpacked);
  tl_array_release(x);
  tl_array_release(out);
}

static int released = 0;
static void count_release(void* owner) { released += *(int*)owner; }

static void test_borrowed(void) {
  int one = 1;
  const float source[4] = {1, 2, 3, 4};
  int64_t shape[1] = {4}, strides[1] = {-1};
  int f32 = tl_dtype_by_name("f32");
  tl_array* a =
      tl_array_borrow(f32, shape, 1, (void*)source, sizeof source, 0, count_release, &one);
  tl_array* back = tl_array_view(a, shape, strides, 1, 3);
  CHECK(tl_array_data(a) == (const void*)source);
  tl_arg args[3] = {tl_arg_array(a), tl_arg_array(a), tl_arg_array(a)};
  CHECK(tl_call(tl_kernel_find("add"), args, 3) == NULL);
  CHECK(source[0] == 1 && at(a)[0] == 2 && at(a)[3] == 8); /* copied before it was written */
  CHECK(at(back)[0] == 8);                                 /* and all views see it */
  tl_array_release(a);
  CHECK(released == 0);
  tl_array_release(back);
  CHECK(released == 1);
  CHECK(tl_array_borrow(f32, shape, 1, (void*)source, 15, 0, count_release, &one) == NULL);
  CHECK(released == 2);
  char* odd = (char*)source + 1; /* no float lies there: read-only memory is copied, else refused */
  int64_t three[1] = {3};
  a = tl_array_borrow(f32, three, 1, odd, 12, 0, count_release, &one);
  CHECK(a && (size_t)tl_array_data(a) % 4 == 0 && memcmp(tl_array_data(a), odd, 12) == 0);
  tl_array_release(a);
  CHECK(released == 3);
  CHECK(tl_array_borrow(f32, three, 1, odd, 12, 1, count_release, &one) == NULL);
  CHECK(released == 4);
}

static void test_refusals(void) {
  int f32 = tl_dtype_by_name("f32");
  int64_t negative[1] = {-1}, huge[3] = {1LL << 31, 1LL << 31, 4}, split[1] = {33}, three[1] = {3},
          step[1] = {2};
  CHECK(tl_array_new(f32, negative, 1) == NULL && tl_array_new(f32, huge, 3) == NULL);
  CHECK(tl_array_new(tl_dtype_by_name("q8_0"), split, 1) == NULL &&
        tl_array_new(-1, three, 1) == NULL);
  CHECK(tl_array_new(f32, three, 13) == NULL && tl_array_new(f32, NULL, 1) == NULL);
  tl_array *a = waves(2, 3), *b = waves(3, 2), *out = floats(2, 3);
  CHECK(tl_array_view(a, huge, step, 1, 0) == NULL &&
        tl_array_view(a, three, step, 1, 1000) == NULL);
  CHECK(tl_array_view(a, three, step, 1, -1) == NULL &&
        tl_array_view(NULL, three, step, 1, 0) == NULL);

  const tl_kernel* add = tl_kernel_find("add");
  tl_arg args[3] = {tl_arg_array(out), tl_arg_array(a), tl_arg_array(b)};
  const char* error = tl_call(add, args, 3);
  CHECK(error && strstr(error, "add: expected arrays of one shape") && error == tl_last_error());
  CHECK(tl_call(add, args, 2) != NULL && tl_call(add, args, 0) != NULL &&
        tl_call(add, args, -1) != NULL);
  CHECK(tl_call(add, NULL, 3) != NULL && tl_call(NULL, args, 3) != NULL &&
        tl_call(add, args, 1000) != NULL);
  args[2] = tl_arg_array(NULL);
  CHECK(tl_call(add, args, 3) != NULL);
  args[2] = tl_arg_real(1);
  CHECK(tl_call(add, args, 3) != NULL);
  tl_array* ints = tl_array_new(tl_dtype_by_name("i64"), (int64_t[2]){2, 3}, 2);
  args[2] = tl_arg_array(ints);
  CHECK(tl_call(add, args, 3) != NULL);
  int64_t shape[2] = {2, 3}, still[2] = {0, 0};
  tl_array* spread = tl_array_view(out, shape, still, 2, 0);
  tl_arg into[3] = {tl_arg_array(spread), tl_arg_array(a), tl_arg_array(a)};
  CHECK(tl_call(add, into, 3) != NULL);
  tl_array* square = floats(2, 2);
  tl_arg product[3] = {tl_arg_array(square), tl_arg_array(a), tl_arg_array(a)};
  CHECK(tl_call(tl_kernel_find("matmul"), product, 3) != NULL);
  CHECK(tl_kernel_find("no such kernel") == NULL && strstr(tl_last_error(), "no such kernel"));
  CHECK(tl_kernel_find(NULL) == NULL && tl_array_data(NULL) == NULL);
  tl_array_release(NULL);
  tl_array_release(a);
  tl_array_release(b);
  tl_array_release(out);
  tl_array_release(ints);
  tl_array_release(spread);
  tl_array_release(square);
}

static void test_machine(void) {
  tl_set_num_threads(3);
  CHECK(tl_num_threads() == 3);
  tl_set_num_threads(0);
  CHECK(tl_num_threads() >= 1 && strlen(tl_isa()) > 0);
  CHECK(strcmp(tl_kernel_signature(tl_kernel_find("add")), "out:out a:in b:in") == 0);
}

int main(void) {
  test_dtypes();
  test_add();
  test_rms_norm();
  test_linear_of_q8_0();
  test_borrowed();
  test_refusals();
  test_machine();
  test_operations();
  test_limits();
  printf("C ABI (%s): %d checks, %d failures\n", tl_isa(), checks, failures);
  return failures != 0;
}
