// Calls of the elementwise kernels: promotion, broadcasting and allocation in one step, because
// they are the ops whose cost is mostly the call. Promotion follows torch: tensors with axes, then
// 0-d tensors, then Python numbers; a later group counts only when it is of a higher category (bool
// < integer < float < complex).
#include <nanobind/stl/string.h>

#include "bind.h"

namespace tl::bind {
namespace {

enum class Family { number, floating, compare, bitwise, unknown };

struct Row {
  const char* name;
  int arity;
  Family family;
};

const Row kRows[] = {
#define UNARY(name, expression) {#name, 1, Family::number},
#define UNARY_FLOAT(name, expression) {#name, 1, Family::floating},
#define BINARY(name, expression) {#name, 2, Family::number},
#define BINARY_FLOAT(name, expression) {#name, 2, Family::floating},
#define COMPARE(name, expression) {#name, 2, Family::compare},
#define BITWISE(name, expression) {#name, 2, Family::bitwise},
#define UNARY_BITS UNARY
#define BINARY_BITS BINARY
#define COMPARE_BITS COMPARE
#include "../ops/elementwise.def"
};

int category(DType d) {
  switch (row(d).kind) {
    case 'b':
      return 0;
    case 'u':
    case 'i':
      return 1;
    case 'f':
      return 2;
    case 'c':
      return 3;
    default:
      return 4;
  }
}

// The dtype of a result of two dtypes of one group.
DType join(DType a, DType b) {
  if (a == b) return a;
  int ca = category(a), cb = category(b);
  if (ca != cb) return ca > cb ? a : b;
  int wa = bytes_of(a), wb = bytes_of(b);
  if (ca == 2) {
    if (wa != wb) return wa > wb ? a : b;
    return DType::f32;  // f16 with bf16, or two kinds of f8
  }
  bool ua = row(a).kind == 'u', ub = row(b).kind == 'u';
  if (ua == ub) return wa > wb ? a : b;
  DType s = ua ? b : a;
  int ws = ua ? wb : wa, wu = ua ? wa : wb;
  if (ws > wu) return s;
  return wu == 1 ? DType::i16 : wu == 2 ? DType::i32 : DType::i64;
}

constexpr DType kNone = DType::count;

// Groups in order of priority, kNone where empty.
DType promote(DType dims, DType zero, DType number) {
  DType out = dims;
  for (DType next : {zero, number}) {
    if (next == kNone) continue;
    if (out == kNone)
      out = next;
    else if (category(next) > category(out))
      out = next;
  }
  return out;
}

DType number_dtype(nb::handle h, const char* where) {
  if (PyBool_Check(h.ptr())) return DType::bool_;
  if (PyLong_Check(h.ptr())) return DType::i64;
  if (PyFloat_Check(h.ptr())) return DType::f32;
  raise("DTypeError", where,
        std::string("expected a Tensor or a number, got ") + Py_TYPE(h.ptr())->tp_name);
}

struct Operand {
  Array own;  // a number made into an array
  const Array* array = nullptr;
  nb::handle number;
};

void refuse_blocks(const View& v, const char* where) {
  if (is_block(v.dtype)) {
    raise("DTypeError", where,
          std::string("expected a plain dtype, got ") + row(v.dtype).name +
              " (use .to(tl.f32) first)");
  }
}

// Of the kernels for numbers, two have no meaning for bools, as in torch.
bool refuses_bools(const char* name) {
  return strcmp(name, "neg") == 0 || strcmp(name, "sub") == 0;
}

DType settle(const Kernel& kernel, Family family, DType common) {
  if (common == DType::bool_ && refuses_bools(kernel.name))
    raise("DTypeError", kernel.name, "expected numbers, got bool (use ~ or ^ for bools)");
  if (category(common) == 3) raise("DTypeError", kernel.name, "no kernel for complex64");
  if (family == Family::floating && category(common) < 2) return DType::f32;
  if (family == Family::bitwise && category(common) > 1)
    raise("DTypeError", kernel.name,
          std::string("expected integers or bool, got ") + row(common).name);
  if (bytes_of(common) == 1 && category(common) == 2)
    raise("DTypeError", kernel.name,
          std::string("expected a dtype for arithmetic, got ") + row(common).name);
  return common;
}

Array unary(const Kernel& kernel, Family family, const Array& x) {
  refuse_blocks(x, kernel.name);
  DType dtype = settle(kernel, family, x.dtype);
  Array in = cast(x, dtype, kernel.name);
  Array out = empty(dtype, in.shape, in.ndim, kernel.name);
  Arg args[2];
  args[0].kind = args[1].kind = Arg::array;
  args[0].a = &out;
  args[1].a = &in;
  Array* outputs[] = {&out};
  run(kernel, args, 2, outputs);
  return out;
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

bool same_shape(const View& a, const View& b) {
  if (a.ndim != b.ndim) return false;
  for (int i = 0; i < a.ndim; ++i) {
    if (a.shape[i] != b.shape[i]) return false;
  }
  return true;
}

struct Groups {
  DType dims = kNone, zero = kNone, number = kNone;
  void add(const Operand& o, const char* where) {
    if (!o.array) {
      DType d = number_dtype(o.number, where);
      number = number == kNone ? d : join(number, d);
    } else {
      DType& group = o.array->ndim ? dims : zero;
      group = group == kNone ? o.array->dtype : join(group, o.array->dtype);
    }
  }
  DType result() const { return promote(dims, zero, number); }
};

// out is given for the in-place form, where its dtype and shape are the result's.
Array binary(const Kernel& kernel, Family family, nb::handle ha, nb::handle hb, Array* given) {
  Operand a, b;
  resolve(kernel.name, ha, a);
  resolve(kernel.name, hb, b);
  Groups groups;
  for (const Operand* o : {&a, &b}) groups.add(*o, kernel.name);
  DType common = settle(kernel, family, groups.result());
  for (Operand* o : {&a, &b}) {
    if (!o->array) {
      o->own = scalar(o->number, common, kernel.name);
      o->array = &o->own;
    } else if (o->array->dtype != common) {
      o->own = cast(*o->array, common, kernel.name);
      o->array = &o->own;
    }
  }
  const View *va = a.array, *vb = b.array;
  int64_t shape[kMaxDims];
  int ndim = va->ndim > vb->ndim ? va->ndim : vb->ndim;
  for (int i = 1; i <= ndim; ++i) {
    int64_t sa = va->back(i), sb = vb->back(i);
    if (sa != sb && sa != 1 && sb != 1) {
      raise("ShapeError", kernel.name,
            "expected shapes that broadcast, got " + shape_text(*va) + " and " + shape_text(*vb));
    }
    shape[ndim - i] = sa == 1 ? sb : sa;
  }
  DType result = family == Family::compare ? DType::bool_ : common;
  Array out;
  if (given) {
    View wanted;
    wanted.ndim = static_cast<int8_t>(ndim);
    for (int i = 0; i < ndim; ++i) wanted.shape[i] = shape[i];
    if (!same_shape(*given, wanted)) {
      raise("ShapeError", kernel.name,
            "expected an output of shape " + shape_text(wanted) + ", got " + shape_text(*given));
    }
    if (category(result) > category(given->dtype)) {
      raise("DTypeError", kernel.name,
            std::string("a result of ") + row(result).name + " cannot be stored into " +
                row(given->dtype).name);
    }
    out = given->dtype == result ? *given : empty(result, shape, ndim, kernel.name);
  } else {
    out = empty(result, shape, ndim, kernel.name);
  }
  Array left = *a.array, right = *b.array;
  if (!same_shape(left, out))
    static_cast<View&>(left) = broadcast_view(*a.array, shape, ndim, kernel.name);
  if (!same_shape(right, out))
    static_cast<View&>(right) = broadcast_view(*b.array, shape, ndim, kernel.name);
  if (given) {
    // An operand that overlaps the output without being the very same view would be read after it
    // was overwritten.
    for (Array* o : {&left, &right}) {
      if (o->storage() == out.storage() &&
          !(o->byte_offset() == out.byte_offset() &&
            memcmp(o->strides, out.strides, sizeof(int64_t) * ndim) == 0))
        *o = contiguous_copy(*o, kernel.name);
    }
  }
  Arg args[3];
  for (Arg& arg : args) arg.kind = Arg::array;
  args[0].a = &out;
  args[1].a = &left;
  args[2].a = &right;
  Array* outputs[] = {&out};
  run(kernel, args, 3, outputs);
  if (given && given->dtype != result) copy_into(*given, out, kernel.name);
  return given ? *given : out;
}

}  // namespace

void bind_elementwise(nb::module_& m) {
  // (arity, callable, in-place callable or None) of an elementwise kernel, or None when `name` is
  // not one.
  m.def("elementwise", [](const std::string& name) -> nb::object {
    for (const Row& r : kRows) {
      if (name != r.name) continue;
      const Kernel* kernel = kernels().find(r.name);
      if (!kernel) return nb::none();
      Family family = r.family;
      if (r.arity == 1) {
        return nb::make_tuple(1, nb::cpp_function([kernel, family](const Array& x) {
                                return unary(*kernel, family, x);
                              }),
                              nb::none());
      }
      return nb::make_tuple(2, nb::cpp_function([kernel, family](nb::handle a, nb::handle b) {
                              return binary(*kernel, family, a, b, nullptr);
                            }),
                            nb::cpp_function([kernel, family](Array& a, nb::handle b) {
                              binary(*kernel, family, nb::find(a), b, &a);
                            }));
    }
    return nb::none();
  });
  m.def("promote_types", [](int a, int b) {
    return static_cast<int>(join(static_cast<DType>(a), static_cast<DType>(b)));
  });
  // The dtype in which two operands (arrays or numbers) meet.
  m.def("result_type", [](nb::handle a, nb::handle b, const char* where) {
    Groups groups;
    for (nb::handle h : {a, b}) {
      Operand o;
      resolve(where, h, o);
      groups.add(o, where);
    }
    return static_cast<int>(groups.result());
  });
}

}  // namespace tl::bind
