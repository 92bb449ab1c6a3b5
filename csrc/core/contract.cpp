#include "contract.h"

#include <cstring>

#include "elementwise.h"

namespace tl {
namespace {

bool call_kernel(const StructuredOp& op, const char* where, Array& out, const Array& x,
                 const Array* y, int64_t integer, Error& error) {
  Arg args[3] = {};
  args[0].kind = args[1].kind = Arg::array;
  args[0].a = &out;
  args[1].a = &x;
  args[2].kind = y ? Arg::array : Arg::integer;
  if (y)
    args[2].a = y;
  else
    args[2].i = integer;
  const Kernel* kernel = kernels().find(op.name);
  return kernel && run(*kernel, args, 3, error, where);
}

// --- reductions: x axes keepdim dtype -----------------------------------------------------------

bool is_float_or_complex(DType dtype) { return category(dtype) == 2 || category(dtype) == 3; }

bool result_dtype(const StructuredOp& op, DType given, int wanted, const char* where, DType& dtype,
                  Error& error) {
  const bool floating = op.result == StructuredOp::floating;
  const bool ordered = op.result == StructuredOp::same || op.result == StructuredOp::index;
  dtype = wanted >= 0 ? static_cast<DType>(wanted) : given;
  if (floating && !is_float_or_complex(dtype))
    return error.set(ErrorKind::dtype, where, "expected a float dtype, got %s", row(dtype).name);
  if (category(given) > (ordered ? 2 : 3))
    return error.set(ErrorKind::no_kernel, where, "expected %sa plain dtype, got %s",
                     ordered ? "real numbers of " : "", row(given).name);
  if (op.result == StructuredOp::index)
    dtype = DType::i64;
  else if (op.result == StructuredOp::truth)  // as in torch, the truth of bytes is a byte
    dtype = given == DType::u8 ? DType::u8 : DType::bool_;
  else if (op.result == StructuredOp::widened && wanted < 0 && !is_float_or_complex(given))
    dtype = DType::i64;
  return true;
}

// The axes as bits; -1 with an error when one does not exist or stands twice.
int64_t axis_bits(const View& x, IntList axes, const char* where, Error& error) {
  if (axes.count == 0) return (int64_t{1} << x.ndim) - 1;
  int64_t bits = 0;
  for (int i = 0; i < axes.count; ++i) {
    const int axis = axis_of(axes.values[i], x.ndim ? x.ndim : 1, where, error);
    if (axis < 0) return -1;
    if (bits >> axis & 1) {
      error.set(ErrorKind::shape, where, "expected each axis once, got axis %d twice", axis);
      return -1;
    }
    bits |= int64_t{1} << axis;
  }
  return x.ndim ? bits : 0;
}

bool reduced_shape(const StructuredOp& op, const StructuredArg* args, const char* where, View& out,
                   Error& error) {
  const View& x = *args[0].array;
  const int wanted = op.kinds[3] ? args[3].dtype : -1;
  if (!result_dtype(op, x.dtype, wanted, where, out.dtype, error)) return false;
  const int64_t bits = axis_bits(x, args[1].axes, where, error);
  if (bits < 0) return false;
  out.ndim = 0;
  for (int i = 0; i < x.ndim; ++i) {
    const bool reduced = bits >> i & 1;
    if (reduced && x.shape[i] == 0 && !op.of_nothing)
      return error.set(ErrorKind::index, where,
                       "expected at least one element along the reduced axes, got shape %s",
                       ShapeText(x).text);
    if (!reduced || args[2].truth) out.shape[out.ndim++] = reduced ? 1 : x.shape[i];
  }
  return true;
}

// Kernels sum integers of any width; floats in the dtype of the result, complex numbers by parts.
bool fill_reduced(const StructuredOp& op, const StructuredArg* args, const char* where, Array& out,
                  Error& error) {
  Array x = *args[0].array;
  const int64_t bits = axis_bits(x, args[1].axes, where, error);
  if (op.result == StructuredOp::truth) {
    if (category(x.dtype) == 3) x = cast(x, DType::bool_, where, error);
    if (!x.ok()) return false;
    View truths = out;
    truths.dtype = DType::bool_;
    Array seen = out.with(truths);
    return call_kernel(op, where, seen, x, nullptr, bits, error);
  }
  if (x.dtype != out.dtype && (is_float_or_complex(x.dtype) || is_float_or_complex(out.dtype)))
    x = cast(x, out.dtype, where, error);
  if (!x.ok()) return false;
  if (category(out.dtype) == 3 && !op.by_parts)
    return error.set(ErrorKind::no_kernel, where, "expected real numbers, got %s",
                     row(out.dtype).name);
  if (category(out.dtype) != 3) return call_kernel(op, where, out, x, nullptr, bits, error);
  Array parts = view_as_real(out, error);
  if (parts.ok()) x = view_as_real(x, error);
  return parts.ok() && x.ok() && call_kernel(op, where, parts, x, nullptr, bits, error);
}

// Kernels look along one axis, or through all elements of an array of one.
bool fill_index(const StructuredOp& op, const StructuredArg* args, const char* where, Array& out,
                Error& error) {
  const Array& x = *args[0].array;
  if (x.ndim && args[1].axes.count)
    return call_kernel(op, where, out, x, nullptr,
                       axis_of(args[1].axes.values[0], x.ndim, where, error), error);
  const int64_t flat = -1;
  const Array line = reshape(x, {&flat, 1}, error);
  return line.ok() && call_kernel(op, where, out, line, nullptr, -1, error);
}

// --- softmax and its logarithm: x axis dtype ----------------------------------------------------

bool softmax_shape(const StructuredOp&, const StructuredArg* args, const char* where, View& out,
                   Error& error) {
  const View& x = *args[0].array;
  out.dtype = args[2].dtype >= 0 ? static_cast<DType>(args[2].dtype) : x.dtype;
  if (category(out.dtype) != 2 || row(out.dtype).bytes < 2)
    return error.set(ErrorKind::no_kernel, where, "expected a float dtype, got %s",
                     row(out.dtype).name);
  if (args[1].axes.count != 1)
    return error.set(ErrorKind::index, where, "expected one axis, got none");
  if (axis_of(args[1].axes.values[0], x.ndim ? x.ndim : 1, where, error) < 0) return false;
  out.ndim = x.ndim;
  for (int i = 0; i < x.ndim; ++i) out.shape[i] = x.shape[i];
  return true;
}

template <bool kLog>
bool fill_softmax(const StructuredOp&, const StructuredArg* args, const char* where, Array& out,
                  Error& error) {
  const Array x = cast(*args[0].array, out.dtype, where, error);
  if (!x.ok()) return false;
  Arg given[4] = {};
  given[0].kind = given[1].kind = Arg::array;
  given[2].kind = given[3].kind = Arg::integer;
  given[0].a = &out;
  given[1].a = &x;
  given[2].i = args[1].axes.values[0];
  given[3].i = kLog;
  const Kernel* kernel = kernels().find("softmax");
  return kernel && run(*kernel, given, 4, error, where);
}

// --- products: a b ------------------------------------------------------------------------------

// The length of a batch axis of two, counted from the end: 1 where there is none. -1: they differ.
int64_t batch_length(const View& a, const View& b, int i) {
  const int64_t p = i <= a.ndim ? a.back(i) : 1, q = i <= b.ndim ? b.back(i) : 1;
  return p == q || q == 1 ? p : p == 1 ? q : -1;
}

bool product_shape(const StructuredOp&, const StructuredArg* args, const char* where, View& out,
                   Error& error) {
  const View &a = *args[0].array, &b = *args[1].array;
  if (!a.ndim || !b.ndim)
    return error.set(ErrorKind::shape, where, "expected operands of at least one axis, got %s, %s",
                     ShapeText(a).text, ShapeText(b).text);
  if (a.dtype != b.dtype)
    return error.set(ErrorKind::dtype, where, "expected two tensors of one dtype (%s), got %s",
                     row(a.dtype).name, row(b.dtype).name);
  if (a.back(1) != b.back(b.ndim > 1 ? 2 : 1))
    return error.set(ErrorKind::shape, where, "expected inner sizes that agree, got %s and %s",
                     ShapeText(a).text, ShapeText(b).text);
  out.dtype = a.dtype;
  out.ndim = 0;
  for (int i = a.ndim > b.ndim ? a.ndim : b.ndim; i > 2; --i) {
    const int64_t length = batch_length(a, b, i);
    if (length < 0)
      return error.set(ErrorKind::shape, where, "expected shapes that broadcast, got %s and %s",
                       ShapeText(a).text, ShapeText(b).text);
    out.shape[out.ndim++] = length;
  }
  if (a.ndim > 1) out.shape[out.ndim++] = a.back(2);
  if (b.ndim > 1) out.shape[out.ndim++] = b.back(1);
  return true;
}

// The real (0) or imaginary (1) parts of complex numbers, a view.
Array part(const Array& x, int which, Error& error) {
  const Array parts = view_as_real(x, error);
  if (!parts.ok()) return parts;
  View v = parts;
  shift(v, which, 1);
  remove_axis(v, v.ndim - 1);
  return parts.with(v);
}

// (a + ib)(c + id) = (ac - bd) + i(ad + bc), by four products of f32.
bool fill_complex_product(const StructuredArg* args, Array& out, Error& error) {
  Array products[4];
  for (int i = 0; i < 4; ++i) {
    const Array left = part(*args[0].array, i & 1, error),
                right = part(*args[1].array, i >> 1, error);
    if (!left.ok() || !right.ok()) return false;
    products[i] = matmul(left, right, error);
    if (!products[i].ok()) return false;
  }
  for (int i = 0; i < 2; ++i) {
    const ElementwiseOp* op = find_elementwise(i ? "add" : "sub");
    const Kernel* kernel = kernels().find(op->name);
    Operand operands[2];
    operands[0].array = &products[i];
    operands[1].array = &products[3 - i];
    Array target = part(out, i, error);
    if (!target.ok() || !elementwise_into(target, *op, *kernel, operands, nullptr, error))
      return false;
  }
  return true;
}

bool fill_product(const StructuredOp& op, const StructuredArg* args, const char* where, Array& out,
                  Error& error) {
  if (category(out.dtype) == 3) return fill_complex_product(args, out, error);
  return call_kernel(op, where, out, *args[0].array, args[1].array, 0, error);
}

using Op = StructuredOp;
constexpr Op kOps[] = {
    {"matmul", "aa", product_shape, fill_product},
    {"sum", "aIbd", reduced_shape, fill_reduced, Op::widened, true, true},
    {"prod", "aIbd", reduced_shape, fill_reduced, Op::widened, true},
    {"mean", "aIbd", reduced_shape, fill_reduced, Op::floating, true, true},
    {"amax", "aIb", reduced_shape, fill_reduced, Op::same, false},
    {"amin", "aIb", reduced_shape, fill_reduced, Op::same, false},
    {"any", "aIb", reduced_shape, fill_reduced, Op::truth, true},
    {"all", "aIb", reduced_shape, fill_reduced, Op::truth, true},
    {"argmax", "aib", reduced_shape, fill_index, Op::index, false},
    {"argmin", "aib", reduced_shape, fill_index, Op::index, false},
    {"softmax", "aid", softmax_shape, fill_softmax<false>},
    {"log_softmax", "aid", softmax_shape, fill_softmax<true>},
};

Array call(const StructuredOp& op, const StructuredArg* args, Error& error) {
  View shape;
  if (!op.shape(op, args, op.name, shape, error)) return {};
  Array out =
      new_array(shape.dtype, shape.shape, shape.ndim, args[0].array->device(), op.name, error);
  return out.ok() && op.fill(op, args, op.name, out, error) ? out : Array();
}

}  // namespace

const StructuredOp* find_structured(const char* name) {
  for (const StructuredOp& op : kOps)
    if (strcmp(op.name, name) == 0) return &op;
  return nullptr;
}

Array reduce(const char* name, const Array& x, IntList axes, bool keepdim, Error& error) {
  const StructuredOp* op = find_structured(name);
  if (!op || op->shape != reduced_shape) {
    error.set(ErrorKind::argument, "reduce", "expected the name of a reduction, got %.64s", name);
    return {};
  }
  if (op->kinds[1] == 'i' && axes.count > 1) {
    error.set(ErrorKind::argument, name, "expected one axis, got %d", axes.count);
    return {};
  }
  StructuredArg args[4];
  args[0].array = &x;
  args[1].axes = axes;
  args[2].truth = keepdim;
  return call(*op, args, error);
}

Array matmul(const Array& a, const Array& b, Error& error) {
  const char* where = "matmul";
  if (category(a.dtype) > 3 || category(b.dtype) > 3) {
    error.set(ErrorKind::no_kernel, where, "expected plain dtypes, got %s and %s",
              row(a.dtype).name, row(b.dtype).name);
    return {};
  }
  const DType dtype = promote_types(a.dtype, b.dtype);
  const Array left = cast(a, dtype, where, error), right = cast(b, dtype, where, error);
  if (!left.ok() || !right.ok()) return {};
  StructuredArg args[2];
  args[0].array = &left;
  args[1].array = &right;
  return call(*find_structured(where), args, error);
}

}  // namespace tl
