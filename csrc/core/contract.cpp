#include "contract.h"

#include <cstring>

#include "elementwise.h"

namespace tl {
namespace {

struct Reduction {
  const char* name;
  enum { widened, floating, same, truth } result;
  bool of_nothing;  // whether there is an answer for no elements
  bool of_parts;    // whether that of complex numbers is that of their parts
};
constexpr Reduction kReductions[] = {
    {"sum", Reduction::widened, true, true},   {"prod", Reduction::widened, true, false},
    {"mean", Reduction::floating, true, true}, {"amax", Reduction::same, false, false},
    {"amin", Reduction::same, false, false},   {"any", Reduction::truth, true, false},
    {"all", Reduction::truth, true, false},
};

bool settle(const Reduction& op, DType given, DType& dtype, Error& error) {
  if (category(given) > 2)
    return error.set(ErrorKind::no_kernel, op.name,
                     "expected real numbers of a plain dtype, got %s", row(given).name);
  if (op.result == Reduction::floating && category(given) < 2)
    return error.set(ErrorKind::dtype, op.name, "expected a float dtype, got %s", row(given).name);
  dtype = op.result == Reduction::truth                            ? DType::bool_
          : op.result == Reduction::widened && category(given) < 2 ? DType::i64
                                                                   : given;
  return true;
}

// The axes as bits; -1 with an error when one does not exist or stands twice.
int64_t axis_bits(const Reduction& op, const View& x, IntList axes, Error& error) {
  if (axes.count == 0) return (int64_t{1} << x.ndim) - 1;
  int64_t bits = 0;
  for (int i = 0; i < axes.count; ++i) {
    const int axis = axis_of(axes.values[i], x.ndim ? x.ndim : 1, op.name, error);
    if (axis < 0) return -1;
    if (bits >> axis & 1) {
      error.set(ErrorKind::shape, op.name, "expected each axis once, got axis %d twice", axis);
      return -1;
    }
    bits |= int64_t{1} << axis;
  }
  return x.ndim ? bits : 0;
}

Array reduce(const Reduction& op, const Array& x, int64_t bits, DType dtype, bool keepdim,
             Error& error) {
  View shape = x;
  for (int i = 0; i < x.ndim; ++i) {
    if (!(bits >> i & 1)) continue;
    if (x.shape[i] == 0 && !op.of_nothing) {
      error.set(ErrorKind::index, op.name,
                "expected at least one element along the reduced axes, got shape %s",
                ShapeText(x).text);
      return {};
    }
    shape.shape[i] = 1;
  }
  Array out = new_array(dtype, shape.shape, x.ndim, x.device(), op.name, error);
  if (!out.ok()) return out;
  Arg args[3];
  args[0].kind = args[1].kind = Arg::array;
  args[0].a = &out;
  args[1].a = &x;
  args[2].kind = Arg::integer;
  args[2].i = bits;
  const Kernel* kernel = kernels().find(op.name);
  if (!kernel || !run(*kernel, args, 3, error)) return {};
  for (int i = x.ndim - 1; !keepdim && i >= 0; --i) {
    if (bits >> i & 1) remove_axis(out, i);
  }
  return out;
}

// Sums of complex numbers are made of their parts, truths of whether they are 0; what needs
// products or an order is refused as of any other dtype.
Array reduce_complex(const Reduction& op, const Array& x, IntList axes, bool keepdim,
                     Error& error) {
  if (op.result == Reduction::truth) {
    const Array truths = cast(x, DType::bool_, op.name, error);
    return truths.ok() ? reduce(op.name, truths, axes, keepdim, error) : truths;
  }
  const int64_t bits = axis_bits(op, x, axes, error);
  const Array parts = bits < 0 ? Array() : view_as_real(x, error);
  if (!parts.ok()) return parts;
  const Array out = reduce(op, parts, bits, DType::f32, keepdim, error);
  return out.ok() ? view_as_complex(out, error) : out;
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

bool is_complex_product(const View& a, const View& b) {
  return (a.dtype == DType::complex64 && !is_block(b.dtype)) ||
         (b.dtype == DType::complex64 && !is_block(a.dtype));
}

// (a + ib)(c + id) = (ac - bd) + i(ad + bc), by four products of f32.
Array matmul_complex(const Array& a, const Array& b, Error& error) {
  const char* where = "matmul";
  const Array x = cast(a, DType::complex64, where, error);
  const Array y = x.ok() ? cast(b, DType::complex64, where, error) : Array();
  if (!y.ok()) return y;
  Array products[4];
  for (int i = 0; i < 4; ++i) {
    const Array left = part(x, i & 1, error), right = part(y, i >> 1, error);
    if (!left.ok() || !right.ok()) return {};
    products[i] = matmul(left, right, error);
    if (!products[i].ok()) return {};
  }
  const Array& like = products[0];
  Array out = new_array(DType::complex64, like.shape, like.ndim, like.device(), where, error);
  for (int i = 0; out.ok() && i < 2; ++i) {
    const ElementwiseOp* op = find_elementwise(i ? "add" : "sub");
    const Kernel* kernel = kernels().find(op->name);
    Operand operands[2];
    operands[0].array = &products[i];
    operands[1].array = &products[3 - i];
    Array target = part(out, i, error);
    if (!target.ok() || !elementwise_into(target, *op, *kernel, operands, nullptr, error))
      return {};
  }
  return out;
}

// Both operands as (batch…, rows, columns) of one batch; a vector is a row or a column.
struct Product {
  Array a, b;
  bool row, column;  // `a` was a vector, `b` was one

  bool broadcast(Error& error);
};

bool Product::broadcast(Error& error) {
  int64_t shape[kMaxDims] = {};
  const int ndim = a.ndim > b.ndim ? a.ndim : b.ndim;
  for (int i = 3; i <= ndim; ++i) {
    const int64_t p = a.back(i), q = b.back(i);
    if (p != q && p != 1 && q != 1)
      return error.set(ErrorKind::shape, "matmul", "expected shapes that broadcast, got %s and %s",
                       ShapeText(a).text, ShapeText(b).text);
    shape[ndim - i] = p == 1 ? q : p;
  }
  for (Array* x : {&a, &b}) {
    shape[ndim - 2] = x->back(2);
    shape[ndim - 1] = x->back(1);
    if (!broadcast_view(*x, shape, ndim, "matmul", *x, error)) return false;
  }
  return true;
}

}  // namespace

Array reduce(const char* name, const Array& x, IntList axes, bool keepdim, Error& error) {
  for (const Reduction& op : kReductions) {
    if (strcmp(op.name, name) != 0) continue;
    if (x.dtype == DType::complex64 && (op.of_parts || op.result == Reduction::truth))
      return reduce_complex(op, x, axes, keepdim, error);
    DType dtype;
    if (!settle(op, x.dtype, dtype, error)) return {};
    const int64_t bits = axis_bits(op, x, axes, error);
    if (bits < 0) return {};
    Array out = reduce(op, x, bits, dtype, keepdim, error);
    // As in torch, the truth of bytes is a byte.
    const bool bytes = op.result == Reduction::truth && x.dtype == DType::u8;
    return bytes && out.ok() ? cast(out, DType::u8, name, error) : out;
  }
  error.set(ErrorKind::argument, "reduce", "expected the name of a reduction, got %.64s", name);
  return {};
}

Array matmul(const Array& a, const Array& b, Error& error) {
  const char* where = "matmul";
  if (!a.ndim || !b.ndim) {
    error.set(ErrorKind::shape, where, "expected operands of at least one axis, got %s and %s",
              ShapeText(a).text, ShapeText(b).text);
    return {};
  }
  if (is_complex_product(a, b)) return matmul_complex(a, b, error);
  if (category(a.dtype) > 2 || category(b.dtype) > 2) {
    error.set(ErrorKind::no_kernel, where, "expected plain dtypes, got %s and %s",
              row(a.dtype).name, row(b.dtype).name);
    return {};
  }
  const DType dtype = promote_types(a.dtype, b.dtype);
  Product p{cast(a, dtype, where, error), {}, a.ndim == 1, b.ndim == 1};
  if (p.a.ok()) p.b = cast(b, dtype, where, error);
  if (!p.b.ok() || (p.row && !insert_axis(p.a, 0, where, error)) ||
      (p.column && !insert_axis(p.b, 1, where, error)))
    return {};
  if (p.a.back(1) != p.b.back(2)) {
    error.set(ErrorKind::shape, where, "expected inner sizes that agree, got %s and %s",
              ShapeText(a).text, ShapeText(b).text);
    return {};
  }
  if (!p.broadcast(error)) return {};
  View shape = p.a;
  shape.shape[shape.ndim - 1] = p.b.back(1);
  Array out = new_array(dtype, shape.shape, shape.ndim, p.a.device(), where, error);
  Arg args[3];
  const Array* arrays[] = {&out, &p.a, &p.b};
  for (int i = 0; i < 3; ++i) {
    args[i].kind = Arg::array;
    args[i].a = arrays[i];
  }
  const Kernel* kernel = kernels().find(where);
  if (!out.ok() || !kernel || !run(*kernel, args, 3, error)) return {};
  if (p.column) remove_axis(out, out.ndim - 1);
  if (p.row) remove_axis(out, out.ndim - (p.column ? 1 : 2));
  return out;
}

}  // namespace tl
