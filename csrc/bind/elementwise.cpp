// Elementwise ops for Python: its operands become those of core/elementwise.
#include "../core/elementwise.h"

#include <nanobind/stl/string.h>

#include "bind.h"

namespace tl::bind {
namespace {

Operand operand_of(nb::handle h, DigitsText& digits, const char* where) {
  Operand o;
  Array* array;
  if (nb::try_cast<Array*>(h, array) && array)
    o.array = array;
  else
    o.number = number_of(h, digits, where);
  return o;
}

struct Callee {
  const ElementwiseOp* op;
  const Kernel* kernel;

  Array operator()(const Operand* operands, const double* constants = nullptr) const {
    return checked(
        [&](Error& error) { return elementwise(*op, *kernel, operands, constants, error); });
  }
  Array of(nb::handle a, nb::handle b) const {
    DigitsText digits[2];
    const Operand operands[] = {operand_of(a, digits[0], op->name),
                                operand_of(b, digits[1], op->name)};
    return (*this)(operands);
  }
  void into(Array& target, const Operand* operands) const {
    checked([&](Error& error) {
      return elementwise_into(target, *op, *kernel, operands, nullptr, error);
    });
  }
};

Callee callee(const char* name) {
  Callee made{find_elementwise(name), kernels().find(name)};
  if (!made.op || !made.kernel)
    raise("ArgumentError", "kernel", std::string("no kernel named ") + name);
  return made;
}

// (arity, callable, in-place callable) of an elementwise kernel, or None when `name` is not one.
nb::object callables(const std::string& name) {
  const ElementwiseOp* op = find_elementwise(name.c_str());
  if (!op || op->constants || op->operands > 2 || !kernels().find(op->name)) return nb::none();
  const Callee call = callee(op->name);
  if (op->operands == 1)
    return nb::make_tuple(1, nb::cpp_function([call](const Array& x) {
                            const Operand operand{&x, {}};
                            return call(&operand);
                          }),
                          nb::cpp_function([call](Array& x) {
                            const Operand operand{&x, {}};
                            call.into(x, &operand);
                          }));
  return nb::make_tuple(
      2, nb::cpp_function([call](nb::handle a, nb::handle b) { return call.of(a, b); }),
      nb::cpp_function([call](Array& a, nb::handle b) {
        DigitsText digits;
        const Operand operands[] = {{&a, {}}, operand_of(b, digits, call.op->name)};
        call.into(a, operands);
      }));
}

}  // namespace

void bind_elementwise(nb::module_& m) {
  m.def("elementwise", &callables);
  // A kernel of one float array and three constants.
  m.def("with_numbers", [](const char* name) {
    return nb::cpp_function([call = callee(name)](const Array& x, double p, double q, double r) {
      const Operand operand{&x, {}};
      const double constants[] = {p, q, r};
      return call(&operand, constants);
    });
  });
  // A kernel of three float operands and one constant.
  m.def("ternary", [](const char* name) {
    return nb::cpp_function(
        [call = callee(name)](nb::handle a, nb::handle b, nb::handle c, double p) {
          DigitsText digits[3];
          const Operand operands[] = {operand_of(a, digits[0], call.op->name),
                                      operand_of(b, digits[1], call.op->name),
                                      operand_of(c, digits[2], call.op->name)};
          return call(operands, &p);
        });
  });
  m.def("where", [call = callee("where")](const Array& condition, nb::handle a, nb::handle b) {
    DigitsText digits[2];
    const Operand operands[] = {
        {&condition, {}}, operand_of(a, digits[0], "where"), operand_of(b, digits[1], "where")};
    return call(operands);
  });
  m.def("promote_types", [](int a, int b) {
    return static_cast<int>(promote_types(static_cast<DType>(a), static_cast<DType>(b)));
  });
  // The dtype in which two operands (arrays or numbers) meet.
  m.def("result_type", [](nb::handle a, nb::handle b, const char* where) {
    DigitsText digits[2];
    const Operand operands[] = {operand_of(a, digits[0], where), operand_of(b, digits[1], where)};
    DType dtype = DType::f32;
    checked([&](Error& error) { return result_type(operands, 2, where, dtype, error); });
    return static_cast<int>(dtype);
  });
}

}  // namespace tl::bind
