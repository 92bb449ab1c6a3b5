// Plan.rewritten: a plan of other tables on the memory of the first, checked before it can run.
#include <nanobind/stl/string.h>

#include <memory>

#include "../core/plan/plan.h"
#include "bind.h"

namespace tl::bind {
namespace {

[[noreturn]] void refuse(const char* what) { raise("ArgumentError", "rewritten", what); }

void add_kept(const Array& x, PlanTables& to) {
  if (x.device().type != Device::cpu || !x.contiguous() || x.byte_offset() != 0 ||
      !x.storage()->writable || x.storage()->release)
    refuse("expected memory of our own to keep results in");
  PlanBuffer& made = to.buffers[to.add_buffer(Role::kept, x.device(), 0)];
  made.bytes = static_cast<int64_t>(held_bytes(*x.storage()));
  made.held = x;
}

// A buffer of the first plan by its number, ("temporary", bytes), ("kept", bytes), ("kept", memory
// that other plans on this arena keep the same in), or a new constant.
void add_buffer(const PlanTables& from, nb::handle given, PlanTables& to) {
  if (nb::isinstance<Array>(given)) {
    const Array& x = nb::cast<const Array&>(given);
    if (x.device().type != Device::cpu || !x.contiguous() || x.byte_offset() != 0)
      refuse("expected constants in the order of their memory");
    PlanBuffer& made = to.buffers[to.add_buffer(Role::constant, x.device(), 0)];
    made.bytes = static_cast<int64_t>(held_bytes(*x.storage()));
    made.version = x.storage()->version.load();
    made.held = x;
  } else if (nb::isinstance<nb::tuple>(given)) {
    const nb::tuple row = nb::cast<nb::tuple>(given);
    if (row.size() != 2) refuse("expected a role and bytes");
    const std::string role = nb::cast<std::string>(row[0]);
    if (role == "kept" && nb::isinstance<Array>(row[1]))
      return add_kept(nb::cast<const Array&>(row[1]), to);
    const int64_t bytes = nb::cast<int64_t>(row[1]);
    const bool kept = role == "kept";
    if ((!kept && role != "temporary") || bytes < 0) refuse("expected a temporary or kept buffer");
    const int b = to.add_buffer(kept ? Role::kept : Role::temporary, Device(), bytes);
    if (!kept) return;
    checked([&](Error& error) {
      to.buffers[b].held = new_array(DType::u8, &bytes, 1, Device(), "plan", error);
      return to.buffers[b].held.ok();
    });
  } else {
    const size_t number = nb::cast<size_t>(given);
    if (number >= from.buffers.size()) refuse("expected buffers of the first plan");
    to.buffers.push_back(from.buffers[number]);
  }
}

void take(nb::tuple list, int64_t* to) {
  int i = 0;
  for (nb::handle each : list) to[i++] = nb::cast<int64_t>(each);
}

void add_value(nb::tuple row, PlanTables& to) {
  if (row.size() != 5) refuse("expected values of five parts");
  PlanValue& made = to.values.emplace_back();
  made.buffer = nb::cast<int>(row[0]);
  made.offset = nb::cast<int64_t>(row[1]);
  const int dtype = nb::cast<int>(row[2]);
  const nb::tuple shape = nb::cast<nb::tuple>(row[3]), strides = nb::cast<nb::tuple>(row[4]);
  if (dtype < 0 || dtype >= kDTypeCount || shape.size() > kMaxDims ||
      shape.size() != strides.size())
    refuse("expected values of a dtype, shape and strides");
  made.view = View();
  made.view.dtype = static_cast<DType>(dtype);
  made.view.ndim = static_cast<int>(shape.size());
  take(shape, made.view.shape);
  take(strides, made.view.strides);
}

// (kernel, arguments) as Plan.calls gives them.
void add_call(nb::tuple row, PlanTables& to) {
  if (row.size() != 2) refuse("expected calls of a kernel and its arguments");
  const std::string name = nb::cast<std::string>(row[0]);
  const Kernel* kernel = kernels().find(name.c_str());
  if (!kernel) refuse("expected kernels that there are");
  const nb::list args = nb::cast<nb::list>(row[1]);
  if (args.size() > kMaxArgs) refuse("expected fewer arguments");
  to.calls.push_back({kernel, to.args.size(), static_cast<int>(args.size())});
  for (nb::handle each : args) {
    Arg arg = {};
    if (each.is_none()) {
      arg.kind = Arg::none;
    } else if (nb::isinstance<nb::tuple>(each)) {
      arg.kind = Arg::array;
      arg.i = nb::cast<int64_t>(nb::cast<nb::tuple>(each)[1]);
    } else if (PyFloat_Check(each.ptr())) {
      arg.kind = Arg::real;
      arg.f = nb::cast<double>(each);
    } else {
      arg.kind = Arg::integer;
      arg.i = nb::cast<int64_t>(each);
    }
    to.args.push_back(arg);
  }
}

Plan* rewritten(const Plan& from, nb::list buffers, nb::list values, nb::list calls,
                nb::list inputs, nb::list outputs, size_t once, nb::list left_out) {
  if (!from.symbols().symbols.empty()) refuse("expected a plan without sizes");
  PlanTables tables;
  for (nb::handle each : buffers) add_buffer(from.tables(), each, tables);
  for (nb::handle each : values) add_value(nb::cast<nb::tuple>(each), tables);
  for (nb::handle each : calls) add_call(nb::cast<nb::tuple>(each), tables);
  for (nb::handle each : inputs) tables.inputs.push_back(nb::cast<int>(each));
  for (nb::handle each : outputs) tables.outputs.push_back(nb::cast<int>(each));
  for (const PlanBuffer& buffer : tables.buffers)
    if (buffer.device.type != Device::cpu) refuse("expected a plan of the CPU");
  tables.once = once;
  checked([&](Error& error) { return check_tables(tables, error); });
  find_lifetimes(tables);
  auto plan = std::make_unique<Plan>(std::move(tables), from.arena());
  plan->read_weights = from.read_weights;
  std::vector<bool> out(once);
  for (nb::handle each : left_out) {
    const size_t at = nb::cast<size_t>(each);
    if (at >= once) refuse("expected to leave out calls that are made once");
    out[at] = true;
  }
  plan->leave_out(std::move(out));
  return plan.release();
}

// None where nothing was joined.
Plan* joined(const Plan& from) {
  if (!from.symbols().symbols.empty()) refuse("expected a plan without sizes");
  PlanTables tables = from.tables();
  if (join_products(tables) == 0) return nullptr;
  find_lifetimes(tables);
  auto plan = std::make_unique<Plan>(std::move(tables), from.arena());
  plan->read_weights = from.read_weights;
  plan->leave_out(from.left_out());  // `once` is as it was
  return plan.release();
}

}  // namespace

void bind_rewritten(nb::class_<Plan>& c) {
  c.def("rewritten", &rewritten, nb::arg("buffers"), nb::arg("values"), nb::arg("calls"),
        nb::arg("inputs"), nb::arg("outputs"), nb::arg("once") = 0,
        nb::arg("left_out") = nb::list(), nb::rv_policy::take_ownership)
      .def("joined", &joined, nb::rv_policy::take_ownership)
      .def_prop_ro("once", [](const Plan& p) { return p.tables().once; })
      .def_prop_ro("on_cpu", [](const Plan& p) {
        for (const PlanBuffer& buffer : p.tables().buffers)
          if (buffer.device.type != Device::cpu) return false;
        return true;
      });
}

}  // namespace tl::bind
