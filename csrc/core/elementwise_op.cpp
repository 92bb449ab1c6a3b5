#include "elementwise_op.h"

namespace tl {
namespace {

using enum ElementwiseClass;

const ElementwiseOp kOps[] = {
#define ROW(name, operands, constants, type, ...) \
  {#name, operands, constants, type, 0 __VA_OPT__(|) __VA_ARGS__},
#define UNARY(name, expression, ...) ROW(name, 1, 0, number, __VA_ARGS__)
#define UNARY_FLOAT(name, expression, ...) ROW(name, 1, 0, floating, __VA_ARGS__)
#define UNARY_NUMBERS(name, expression, ...) ROW(name, 1, 3, floating, __VA_ARGS__)
#define TEST(name, expression, ...) ROW(name, 1, 0, test, __VA_ARGS__)
#define BINARY(name, expression, ...) ROW(name, 2, 0, number, __VA_ARGS__)
#define BINARY_FLOAT(name, expression, ...) ROW(name, 2, 0, floating, __VA_ARGS__)
#define COMPARE(name, expression, ...) ROW(name, 2, 0, compare, __VA_ARGS__)
#define BITWISE(name, expression, ...) ROW(name, 2, 0, bitwise, __VA_ARGS__)
#define TERNARY(name, expression, ...) ROW(name, 3, 1, floating, __VA_ARGS__)
#define INTEGER2(name, function, ...) ROW(name, 2, 0, integer, __VA_ARGS__)
#define CUSTOM(name, operands, type, ...) ROW(name, operands, 0, type, __VA_ARGS__)
#define TEST_ALL TEST
#define LIBM1 UNARY_FLOAT
#define LIBM2 BINARY_FLOAT
#define DIVISION BINARY
#define UNARY_BITS UNARY
#define BINARY_BITS BINARY
#include "../ops/elementwise.def"
#undef ROW
};

}  // namespace

const ElementwiseOp* find_elementwise(const char* name) {
  for (const ElementwiseOp& op : kOps) {
    if (strcmp(op.name, name) == 0) return &op;
  }
  return nullptr;
}

bool ElementwiseOp::settle(DType common, DType& dtype, Error& error) const {
  auto refuse = [&](const char* expected, const char* advice = "") {
    return error.set(ErrorKind::no_kernel, name, "expected %s, got %s%s", expected,
                     common == DType::bool_ ? "bool" : row(common).name, advice);
  };
  dtype = common;
  if (type == choice) return true;
  if (is_block(common)) return refuse("a plain dtype", " (use .to(tl.f32) first)");
  if (common == DType::bool_ && (facts & kNoBools))
    return refuse("numbers", " (use ~ or ^ for bools)");
  const int kind = category(common);
  if (kind == 3) return facts & kComplex ? true : refuse("real numbers");
  if (type == floating && kind < 2) dtype = default_float;
  if (common == DType::bool_ && (facts & kCountsBools)) dtype = DType::i64;
  if (type == bitwise && kind > 1) return refuse("integers or bool");
  if (type == integer && kind != 1) return refuse("integers");
  if (kind == 2 && bytes_of(common) == 1) return refuse("a dtype for arithmetic");
  return true;
}

DType ElementwiseOp::result(DType dtype) const {
  if (type == compare || type == test) return DType::bool_;
  return dtype == DType::complex64 && (facts & kMagnitude) ? DType::f32 : dtype;
}

}  // namespace tl
