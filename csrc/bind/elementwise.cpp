// Calls of the elementwise kernels: promotion, broadcasting and allocation in one step, because
// they are the ops whose cost is mostly the call.
#include <nanobind/stl/string.h>

#include "../core/elementwise_op.h"
#include "bind.h"

namespace tl::bind {
namespace {

using Class = ElementwiseClass;

Number::Kind number_kind(nb::handle h, const char* where) {
  if (PyBool_Check(h.ptr())) return Number::boolean;
  if (PyLong_Check(h.ptr())) return Number::integer;
  if (PyFloat_Check(h.ptr())) return Number::real;
  if (PyComplex_Check(h.ptr())) return Number::complex;
  raise("NoKernelError", where,
        std::string("expected a Tensor or a number, got ") + Py_TYPE(h.ptr())->tp_name);
}

struct Operand {
  Array own;  // a number made into an array, or a converted one
  const Array* array = nullptr;
  nb::handle number;
};

void refuse_blocks(const View& v, const char* where) {
  if (is_block(v.dtype)) {
    raise("NoKernelError", where,
          std::string("expected a plain dtype, got ") + row(v.dtype).name +
              " (use .to(tl.f32) first)");
  }
}

DType settle(const ElementwiseOp& op, DType common) {
  Error error;
  DType dtype;
  if (!op.settle(common, dtype, error)) raise(error);
  return dtype;
}

void check_target(const char* where, const View& given, DType result) {
  if (category(result) > category(given.dtype)) {
    raise("NoKernelError", where,
          std::string("a result of ") + row(result).name + " cannot be stored into " +
              row(given.dtype).name);
  }
}

// `given` is the output of the in-place form.
Array unary(const Kernel& kernel, const ElementwiseOp& op, const Array& x, const double* numbers,
            int count, Array* given) {
  refuse_blocks(x, kernel.name);
  DType dtype = settle(op, x.dtype), result = op.result(dtype);
  if (given) check_target(kernel.name, *given, result);
  Array in = cast(x, dtype, kernel.name);
  Array out = given && given->dtype == result
                  ? *given
                  : empty(result, in.shape, in.ndim, kernel.name, in.device());
  if (!given && !in_order(in)) {
    const View* operands[] = {&in};
    follow_strides(operands, 1, true, out);
  }
  Arg args[5];
  args[0].kind = args[1].kind = Arg::array;
  args[0].a = &out;
  args[1].a = &in;
  for (int i = 0; i < count; ++i) {
    args[2 + i].kind = Arg::real;
    args[2 + i].f = numbers[i];
  }
  run(kernel, args, 2 + count);
  if (given && given->dtype != result) copy_into(*given, out, kernel.name);
  return given ? *given : out;
}

void resolve(const char* where, nb::handle h, Operand& o) {
  Array* array;
  if (nb::try_cast<Array*>(h, array) && array) {
    refuse_blocks(*array, where);
    o.array = array;
  } else {
    o.number = h;
  }
}

void add(Promotion& promotion, const Operand& o, const char* where) {
  if (o.array) return promotion.add(*o.array);
  Number number;
  number.kind = number_kind(o.number, where);
  promotion.add(number);
}

// Where the result of operands is made. Numbers and 0-d arrays on the CPU go where the others are.
Device device_of(const Operand* operands, int n, const Array* mask) {
  if (mask && !(mask->device() == Device{})) return mask->device();
  for (int i = 0; i < n; ++i) {
    const Array* x = operands[i].array;
    if (x && !(x->device() == Device{})) return x->device();
  }
  return {};
}

// n operands, after a mask if there is one (of `where`); `given` is the output of the in-place
// form, whose dtype and shape are the result's.
Array several(const Kernel& kernel, const ElementwiseOp& op, const nb::handle* handles, int n,
              const Array* mask, const double* numbers, int count, Array* given) {
  constexpr int kMost = 3;
  Operand operands[kMost];
  Promotion groups;
  for (int i = 0; i < n; ++i) {
    resolve(kernel.name, handles[i], operands[i]);
    add(groups, operands[i], kernel.name);
  }
  if (!mask && !groups.has_array())
    raise("DTypeError", kernel.name, "expected a Tensor, got numbers only");
  // As torch, which does not give 1 / b of an integer b the integers' type.
  bool whole = op.type == Class::power && handles[1].is_valid() && !operands[1].array &&
               PyLong_Check(handles[1].ptr()) && category(groups.result()) < 2;
  if (whole && nb::handle(handles[1]) < nb::int_(0))
    raise("ArgumentError", kernel.name,
          "expected an exponent from 0 up for integers, got a negative number");
  DType common = groups.result();
  common = settle(op, common);
  const Device device = device_of(operands, n, mask);
  int64_t shape[kMaxDims];
  int ndim = mask ? mask->ndim : 0;
  for (int i = 0; i < n; ++i) {
    Operand& o = operands[i];
    if (!o.array) {
      o.own = scalar(o.number, common, kernel.name);
      o.array = &o.own;
    } else if (o.array->dtype != common) {
      o.own = cast(*o.array, common, kernel.name);
      o.array = &o.own;
    }
    if (!(o.array->device() == device)) {
      if (o.array->ndim) refuse_mixed(kernel.name, o.array->device(), device);
      o.own = moved(*o.array, device, kernel.name);
      o.array = &o.own;
    }
    ndim = o.array->ndim > ndim ? o.array->ndim : ndim;
  }
  for (int i = 1; i <= ndim; ++i) {
    int64_t size = mask ? mask->back(i) : 1;
    for (int k = 0; k < n; ++k) {
      int64_t other = operands[k].array->back(i);
      if (size != other && size != 1 && other != 1) {
        std::string text = mask ? shape_text(*mask) + ", " : "";
        for (int j = 0; j < n; ++j)
          text += (j == 0 ? "" : j + 1 == n ? " and " : ", ") + shape_text(*operands[j].array);
        raise("ShapeError", kernel.name, "expected shapes that broadcast, got " + text);
      }
      size = size == 1 ? other : size;
    }
    shape[ndim - i] = size;
  }
  DType result = op.result(common);
  Array out;
  if (given) {
    View wanted;
    wanted.ndim = static_cast<int8_t>(ndim);
    for (int i = 0; i < ndim; ++i) wanted.shape[i] = shape[i];
    if (!same_shape(*given, wanted)) {
      raise("ShapeError", kernel.name,
            "expected an output of shape " + shape_text(wanted) + ", got " + shape_text(*given));
    }
    check_target(kernel.name, *given, result);
    out = given->dtype == result ? *given : empty(result, shape, ndim, kernel.name, device);
  } else {
    out = empty(result, shape, ndim, kernel.name, device);
  }
  Array views[kMost + 1];
  int total = 0;
  if (mask) views[total++] = *mask;
  for (int i = 0; i < n; ++i) views[total++] = *operands[i].array;
  Arg args[1 + kMost + 1 + 3];
  args[0].kind = Arg::array;
  args[0].a = &out;
  bool ordered = true, same = true;
  for (int i = 0; i < total; ++i) {
    Array& o = views[i];
    ordered = ordered && in_order(o);
    if (!same_shape(o, out)) {
      same = false;
      static_cast<View&>(o) = broadcast_view(Array(o), shape, ndim, kernel.name);
    }
    // An operand that overlaps the output without being the very same view would be read after it
    // was overwritten.
    if (given && o.storage() == out.storage() &&
        !(o.byte_offset() == out.byte_offset() && o.dtype == out.dtype &&
          memcmp(o.strides, out.strides, sizeof(int64_t) * ndim) == 0))
      o = contiguous_copy(o, kernel.name);
    args[1 + i].kind = Arg::array;
    args[1 + i].a = &o;
  }
  if (!given && !ordered) {
    const View* operands[kMost + 1];
    for (int i = 0; i < total; ++i) operands[i] = &views[i];
    follow_strides(operands, total, same, out);
  }
  for (int i = 0; i < count; ++i) {
    args[1 + total + i].kind = Arg::real;
    args[1 + total + i].f = numbers[i];
  }
  run(kernel, args, 1 + total + count);
  if (given && given->dtype != result) copy_into(*given, out, kernel.name);
  return given ? *given : out;
}

const Kernel& known(const char* name) {
  const Kernel* kernel = kernels().find(name);
  if (!kernel) raise("ArgumentError", "kernel", std::string("no kernel named ") + name);
  return *kernel;
}

// complex64 seen as f32 with a last axis of two, and back.
Array as_real(const Array& x) {
  if (x.dtype != DType::complex64)
    raise("NoKernelError", "view_as_real",
          std::string("expected complex64, got ") + row(x.dtype).name);
  if (x.ndim == kMaxDims)
    raise("ShapeError", "view_as_real",
          "expected fewer than " + std::to_string(kMaxDims) + " axes, got " + shape_text(x));
  View v = x;
  v.dtype = DType::f32;
  for (int i = 0; i < v.ndim; ++i) v.strides[i] *= v.shape[i] > 1 ? 2 : 1;
  v.shape[v.ndim] = 2;
  v.strides[v.ndim++] = 1;
  if (contiguous_bytes(v.dtype, v.shape, v.ndim) < 0)
    raise("ShapeError", "view_as_real", "expected fewer than 2**63 bytes, got " + shape_text(x));
  return x.with(v);
}
Array as_complex(const Array& x) {
  if (x.dtype != DType::f32)
    raise("NoKernelError", "view_as_complex",
          std::string("expected f32, got ") + row(x.dtype).name);
  bool fits = x.ndim > 0 && x.back(1) == 2 && x.back_stride(1) == 1;
  for (int i = 0; fits && i < x.ndim - 1; ++i) fits = x.strides[i] % 2 == 0 || x.shape[i] == 1;
  if (!fits || x.byte_offset() % 8 != 0)
    raise("ShapeError", "view_as_complex",
          "expected a last axis of 2 with stride 1 and the others even, got " + shape_text(x));
  View v = x;
  v.dtype = DType::complex64;
  --v.ndim;
  for (int i = 0; i < v.ndim; ++i) v.strides[i] /= 2;
  return x.with(v);
}

}  // namespace

void bind_elementwise(nb::module_& m) {
  // (arity, callable, in-place callable) of an elementwise kernel, or None when `name` is not one.
  m.def("elementwise", [](const std::string& name) -> nb::object {
    const ElementwiseOp* op = find_elementwise(name.c_str());
    const Kernel* kernel = op && !op->constants ? kernels().find(op->name) : nullptr;
    if (!kernel || op->operands > 2) return nb::none();
    if (op->operands == 1)
      return nb::make_tuple(
          1, nb::cpp_function([kernel, op](const Array& x) {
            return unary(*kernel, *op, x, nullptr, 0, nullptr);
          }),
          nb::cpp_function([kernel, op](Array& x) { unary(*kernel, *op, x, nullptr, 0, &x); }));
    return nb::make_tuple(2, nb::cpp_function([kernel, op](nb::handle a, nb::handle b) {
                            nb::handle operands[] = {a, b};
                            return several(*kernel, *op, operands, 2, nullptr, nullptr, 0, nullptr);
                          }),
                          nb::cpp_function([kernel, op](Array& a, nb::handle b) {
                            nb::handle operands[] = {nb::find(a), b};
                            several(*kernel, *op, operands, 2, nullptr, nullptr, 0, &a);
                          }));
  });
  // A kernel of one float array and three constants.
  m.def("with_numbers", [](const char* name) {
    const Kernel* kernel = &known(name);
    const ElementwiseOp* op = find_elementwise(name);
    return nb::cpp_function([kernel, op](const Array& x, double p, double q, double r) {
      const double numbers[] = {p, q, r};
      return unary(*kernel, *op, x, numbers, 3, nullptr);
    });
  });
  // A kernel of three float operands and one constant.
  m.def("ternary", [](const char* name) {
    const Kernel* kernel = &known(name);
    const ElementwiseOp* op = find_elementwise(name);
    return nb::cpp_function([kernel, op](nb::handle a, nb::handle b, nb::handle c, double p) {
      nb::handle operands[] = {a, b, c};
      return several(*kernel, *op, operands, 3, nullptr, &p, 1, nullptr);
    });
  });
  m.def("where", [](const Array& condition, nb::handle a, nb::handle b) {
    nb::handle operands[] = {a, b};
    return several(known("where"), *find_elementwise("where"), operands, 2, &condition, nullptr, 0,
                   nullptr);
  });
  m.def("view_as_real", &as_real);
  m.def("view_as_complex", &as_complex);
  m.def("promote_types", [](int a, int b) {
    return static_cast<int>(promote_types(static_cast<DType>(a), static_cast<DType>(b)));
  });
  // The dtype in which two operands (arrays or numbers) meet.
  m.def("result_type", [](nb::handle a, nb::handle b, const char* where) {
    Promotion groups;
    for (nb::handle h : {a, b}) {
      Operand o;
      resolve(where, h, o);
      add(groups, o, where);
    }
    return static_cast<int>(groups.result());
  });
}

}  // namespace tl::bind
