// Elementwise ops for Python: its operands become those of core/elementwise.
#include "../core/elementwise.h"

#include <nanobind/stl/string.h>

#include "dispatch.h"

namespace tl::bind {
namespace {

Operand operand_of(nb::handle h, DigitsText& digits, const char* where) {
  Operand o;
  if (is_array(h.ptr()))
    o.array = as_array(h.ptr());
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
};

Callee callee(const char* name) {
  Callee made{find_elementwise(name), kernels().find(name)};
  if (!made.op || !made.kernel)
    raise("ArgumentError", "kernel", std::string("no kernel named ") + name);
  return made;
}

}  // namespace

Array call_elementwise(const Kernel& kernel, const ElementwiseOp& op, PyObject* const* operands,
                       Array* given) {
  DigitsText digits[4];
  Operand list[4];
  for (int i = 0; i < op.operands; ++i) list[i] = operand_of(operands[i], digits[i], op.name);
  return checked([&](Error& error) {
    if (!given) return elementwise(op, kernel, list, nullptr, error);
    elementwise_into(*given, op, kernel, list, nullptr, error);
    return Array{};
  });
}

void bind_elementwise(nb::module_& m) {
  // How many operands an elementwise op has; 0 when `name` is none, or takes numbers beside them.
  m.def("elementwise_operands", [](const char* name) {
    const ElementwiseOp* op = find_elementwise(name);
    const bool whole = op && !op->constants && op->operands < 3 && kernels().find(op->name);
    return whole ? op->operands : 0;
  });
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
  m.def("promote_types",
        [](int a, int b) { return static_cast<int>(promote_types(dtype_from(a), dtype_from(b))); });
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
