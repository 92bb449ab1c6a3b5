// Elementwise ops for Python: its operands become those of core/elementwise.
#include "../core/elementwise.h"

#include <nanobind/stl/string.h>

#include "../core/chain.h"
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

}  // namespace

Array call_elementwise(const CallerData& c, const ElementwiseArgs& args, Array* given) {
  const ElementwiseOp& op = *c.elementwise;
  DigitsText digits[3];
  Operand list[3];
  for (int i = 0; i < op.operands; ++i) list[i] = operand_of(args.operands[i], digits[i], op.name);
  return checked([&](Error& error) {
    if (!given) return elementwise(op, *c.kernel, list, args.constants, error);
    elementwise_into(*given, op, *c.kernel, list, args.constants, error);
    return Array{};
  });
}

bool has_kernel_for(const CallerData& c, const ElementwiseArgs& args) {
  const int n = c.elementwise->operands, mask = c.elementwise->type == ElementwiseClass::choice;
  DigitsText digits[3];
  Operand list[3];
  bool some = false;
  for (int i = mask; i < n; ++i) {
    list[i] = operand_of(args.operands[i], digits[i], c.name.c_str());
    some = some || list[i].array;
  }
  if (!some) return true;  // which the call refuses
  DType dtype;
  checked([&](Error& error) {
    return result_type(list + mask, n - mask, c.name.c_str(), dtype, error);
  });
  return c.dtypes >> static_cast<int>(dtype) & 1;
}

void bind_elementwise(nb::module_& m) {
  // (operands, constants) of the elementwise op of this name, None where there is none.
  m.def("elementwise_operands", [](const char* name) -> nb::object {
    const ElementwiseOp* op = find_elementwise(name);
    if (!op || !kernels().find(op->name)) return nb::none();
    return nb::make_tuple(op->operands, op->constants);
  });
  // Ops that a step of elementwise_chain may be: number, operands and constants by name.
  m.def("chain_ops", [] {
    nb::dict ops;
    for (int code = 1; const ChainOp* op = chain_op(code); ++code)
      ops[op->name] = nb::make_tuple(code, op->operands, op->constants);
    return ops;
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
