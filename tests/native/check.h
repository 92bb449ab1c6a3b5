/* Checks of the C tests: each is counted, a failed one is printed with the library's last error. */
#include <stdio.h>

#include "tallow.h"

extern int failures, checks;
#define CHECK(ok)                                                           \
  do {                                                                      \
    ++checks;                                                               \
    if (!(ok)) {                                                            \
      ++failures;                                                           \
      printf("%s:%d: %s (%s)\n", __FILE__, __LINE__, #ok, tl_last_error()); \
    }                                                                       \
  } while (0)

void test_operations(void); /* test_capi_ops.c */
void test_limits(void);     /* test_capi_limits.c */
