/* Runs the first plan of a saved program on ones: program FILE.tlw
 *
 * cc examples/program.c -Icsrc -Lbuild/runtime -ltallow -o program */
#include <stdio.h>
#include <stdlib.h>

#include "tallow.h"

static void expect(int good) {
  if (good) return;
  fprintf(stderr, "%s\n", tl_last_error());
  exit(1);
}

static void show(const char* name, tl_array* output) {
  tl_info info;
  tl_array_info(output, &info);
  const float* values = tl_array_data(output);
  printf("%s:", name);
  for (int64_t k = 0; k < info.size && info.contiguous; ++k) printf(" %g", values[k]);
  printf("\n");
  tl_array_release(output);
}

int main(int count, char** words) {
  if (count != 2) return fprintf(stderr, "program FILE.tlw\n"), 2;
  tl_program* program = tl_program_open(words[1]);
  expect(program != NULL);

  /* Every size of the plan is 4, or the least above that it can be. */
  int64_t sizes[4];
  int n = 0;
  for (; n < 4 && tl_plan_size_name(program, 0, n); ++n) {
    int64_t least, most;
    expect(tl_plan_size_range(program, 0, n, &least, &most) == NULL);
    sizes[n] = least > 4 ? least : most < 4 ? most : 4;
  }
  expect(tl_program_set(program, 0, sizes, n) == NULL);

  tl_array* inputs[8];
  tl_info info;
  int given = 0;
  for (; given < 8 && tl_plan_input_info(program, 0, given, &info); ++given) {
    tl_array* ones = tl_array_new(tl_dtype_by_name("f32"), info.shape, info.ndim);
    expect(ones != NULL && info.dtype == tl_dtype_by_name("f32"));
    for (int64_t i = 0; i < info.size; ++i) ((float*)tl_array_data(ones))[i] = 1;
    inputs[given] = ones;
  }

  tl_array* outputs[8];
  int wanted = 0;
  while (wanted < 8 && tl_plan_output_name(program, 0, wanted)) ++wanted;
  expect(tl_program_run(program, 0, inputs, given, outputs, wanted) == NULL);

  for (int i = 0; i < wanted; ++i) show(tl_plan_output_name(program, 0, i), outputs[i]);
  for (int i = 0; i < given; ++i) tl_array_release(inputs[i]);
  tl_program_close(program);
  return 0;
}
