// tallow._native.Capture and Plan: calls recorded as tables, and tables run.
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>

#include "../core/hash.h"
#include "../core/plan/capture.h"
#include "../core/plan/program.h"
#include "dispatch.h"

namespace tl::bind {
namespace {

std::vector<const Array*> arrays_of(nb::list list) {
  std::vector<const Array*> arrays;
  for (nb::handle each : list) arrays.push_back(&nb::cast<const Array&>(each));
  return arrays;
}

nb::tuple longs(const int64_t* values, int n) {
  nb::object made = nb::steal(PyTuple_New(n));
  for (int i = 0; i < n; ++i) PyTuple_SET_ITEM(made.ptr(), i, PyLong_FromLongLong(values[i]));
  return nb::cast<nb::tuple>(made);
}

// (role, bytes, first call, last call, offset, name, written)
nb::list buffer_rows(const PlanTables& tables) {
  nb::list rows;
  for (const PlanBuffer& b : tables.buffers)
    rows.append(nb::make_tuple(kRoleNames[static_cast<int>(b.role)], b.bytes, b.first, b.last,
                               b.offset, b.name, b.written));
  return rows;
}

// (buffer, offset in bytes, dtype, shape, strides)
nb::list value_rows(const PlanTables& tables) {
  nb::list rows;
  for (const PlanValue& v : tables.values)
    rows.append(nb::make_tuple(v.buffer, v.offset, static_cast<int>(v.view.dtype),
                               longs(v.view.shape, v.view.ndim),
                               longs(v.view.strides, v.view.ndim)));
  return rows;
}

// (kernel, arguments): None, a real, ("value", number) or an integer
nb::list call_rows(const PlanTables& tables) {
  nb::list rows;
  for (const PlanCall& call : tables.calls) {
    nb::list args;
    for (int i = 0; i < call.n; ++i) {
      const Arg& arg = tables.args[call.first + i];
      if (arg.kind == Arg::array)
        args.append(nb::make_tuple("value", arg.i));
      else if (arg.kind == Arg::integer)
        args.append(arg.i);
      else if (arg.kind == Arg::real)
        args.append(arg.f);
      else
        args.append(nb::none());
    }
    rows.append(nb::make_tuple(call.kernel->name, args));
  }
  return rows;
}

nb::list numbers(const std::vector<int>& values) {
  nb::list list;
  for (int value : values) list.append(value);
  return list;
}

}  // namespace

void expect_readable(const Array& x, const char* where, bool lent) {
  Capture* capture = recording();
  if (!capture) return;
  checked([&](Error& error) {
    return lent ? capture->lend(x, where, error) : capture->may_read(x, where, error);
  });
}

// Replays compute as the calls did; so nothing may be run while others are recorded.
static void expect_no_capture() {
  if (recording())
    raise("ArgumentError", "plan", "a plan cannot be replayed while one is captured");
}

// Keeps a Python buffer for as long as arrays lie in it.
static void drop_buffer(void* owner) {
  auto* buffer = static_cast<Py_buffer*>(owner);
  if (!Py_IsInitialized()) return;
  nb::gil_scoped_acquire gil;
  PyBuffer_Release(buffer);
  delete buffer;
}

static std::unique_ptr<Program> open_program(nb::handle source) {
  auto* buffer = new Py_buffer;
  if (PyObject_GetBuffer(source.ptr(), buffer, PyBUF_C_CONTIGUOUS) != 0) {
    delete buffer;
    throw nb::python_error();
  }
  return checked([&](Error& error) {
    return Program::open(static_cast<const std::byte*>(buffer->buf),
                         static_cast<size_t>(buffer->len), drop_buffer, buffer, error);
  });
}

static Program::Entry& entry_of(Program& p, const char* name) {
  Program::Entry* entry = p.entry(name);
  if (!entry)
    raise("ArgumentError", "program", std::string("expected the name of a plan, got ") + name);
  return *entry;
}

static nb::list call_plan(Plan& p, nb::list inputs) {
  expect_no_capture();
  const std::vector<const Array*> given = arrays_of(inputs);
  std::vector<Array> results;
  checked([&](Error& error) {
    nb::gil_scoped_release release;
    return p.call(given, results, error);
  });
  nb::list list;
  for (Array& each : results) list.append(nb::cast(std::move(each)));
  return list;
}

static void bind_program(nb::module_& m) {
  m.def("xxh64", [](nb::handle source) {
    Py_buffer buffer;
    if (PyObject_GetBuffer(source.ptr(), &buffer, PyBUF_C_CONTIGUOUS) != 0)
      throw nb::python_error();
    const uint64_t hash = xxh64(buffer.buf, static_cast<size_t>(buffer.len));
    PyBuffer_Release(&buffer);
    return hash;
  });
  nb::class_<Program>(m, "Program")
      .def_static("open", &open_program)
      // name → (inputs, outputs, symbols as (name, least, most))
      .def_prop_ro("entries",
                   [](Program& p) {
                     nb::dict rows;
                     for (const Program::Entry& e : p.entries()) {
                       nb::list inputs, outputs, symbols;
                       for (const std::string& name : e.inputs) inputs.append(name);
                       for (const std::string& name : e.outputs) outputs.append(name);
                       for (const PlanSymbol& s : e.plan->symbols().symbols)
                         symbols.append(nb::make_tuple(s.name, s.least, s.most));
                       rows[e.name.c_str()] = nb::make_tuple(inputs, outputs, symbols);
                     }
                     return rows;
                   })
      .def_prop_ro("sections",
                   [](const Program& p) {
                     nb::dict rows;
                     for (const Section& s : p.sections())
                       rows[s.name.c_str()] =
                           nb::bytes(reinterpret_cast<const char*>(s.data), s.bytes);
                     return rows;
                   })
      .def(
          "plan", [](Program& p, const char* name) { return entry_of(p, name).plan.get(); },
          nb::rv_policy::reference_internal)
      .def("set",
           [](Program& p, const char* name, nb::list sizes) {
             std::vector<int64_t> values;
             for (nb::handle each : sizes) values.push_back(nb::cast<int64_t>(each));
             checked([&](Error& error) { return p.set(entry_of(p, name), values, error); });
           })
      .def("call", [](Program& p, const char* name,
                      nb::list inputs) { return call_plan(*entry_of(p, name).plan, inputs); })
      .def("clear_states", &Program::clear_states)
      .def("verify",
           [](const Program& p) { checked([&](Error& error) { return p.verify(error); }); });
}

void bind_plan(nb::module_& m) {
  m.def("capturing", [] { return recording() != nullptr; });
  nb::class_<Capture>(m, "Capture")
      .def(nb::init<bool>())
      .def("input",
           [](Capture& c, const Array& x) {
             checked([&](Error& error) { return c.add_input(x, error); });
           })
      .def("weight", &Capture::add_weight)
      .def("state", &Capture::add_state)
      .def("start",
           [](Capture& c) {
             if (!c.start()) raise("ArgumentError", "capture", "a plan is being captured already");
           })
      .def("stop", &Capture::stop)
      .def("restore", &Capture::restore)
      .def(
          "finish",
          [](Capture& c, nb::list outputs, const Plan* beside) {
            PlanTables tables;
            checked([&](Error& error) { return c.finish(arrays_of(outputs), tables, error); });
            auto plan =
                std::make_unique<Plan>(std::move(tables), beside ? beside->arena() : nullptr);
            plan->read_weights = c.read_weights;
            return plan.release();
          },
          nb::arg("outputs"), nb::arg("beside").none());
  nb::class_<Plan>(m, "Plan")
      .def("run",
           [](Plan& p) {
             expect_no_capture();
             checked([&](Error& error) {
               nb::gil_scoped_release release;
               return p.run(error);
             });
           })
      .def("call", &call_plan)
      // One replay, and how long each call took: a list of (kernel, seconds).
      .def("profile",
           [](Plan& p) {
             expect_no_capture();
             std::vector<double> seconds;
             checked([&](Error& error) {
               nb::gil_scoped_release release;
               return p.profile(seconds, error);
             });
             nb::list list;
             for (size_t i = 0; i < seconds.size(); ++i)
               list.append(nb::make_tuple(p.tables().calls[i].kernel->name, seconds[i]));
             return list;
           })
      .def_prop_ro("arena_bytes", &Plan::arena_bytes)
      .def_prop_ro("stale", &Plan::stale)
      .def_ro("read_weights", &Plan::read_weights)
      .def_prop_ro("buffers", [](const Plan& p) { return buffer_rows(p.tables()); })
      .def_prop_ro("values", [](const Plan& p) { return value_rows(p.tables()); })
      .def_prop_ro("calls", [](const Plan& p) { return call_rows(p.tables()); })
      .def_prop_ro("inputs", [](const Plan& p) { return numbers(p.tables().inputs); })
      .def_prop_ro("outputs", [](const Plan& p) { return numbers(p.tables().outputs); })
      // The bytes of a weight, constant or state.
      .def("held",
           [](const Plan& p, size_t buffer) {
             if (buffer >= p.tables().buffers.size() || !p.tables().buffers[buffer].held.ok())
               raise("ArgumentError", "plan", "expected a buffer that has memory");
             const Array& x = p.tables().buffers[buffer].held;
             View whole;
             whole.dtype = DType::u8;
             whole.ndim = 1;
             whole.shape[0] = static_cast<int64_t>(held_bytes(*x.storage()));
             whole.strides[0] = 1;
             Array synced = x;
             synced.sync();
             whole.data = synced.data - x.byte_offset();
             return synced.with(whole);
           })
      .def("__len__", [](const Plan& p) { return p.tables().calls.size(); });
  bind_program(m);
}

}  // namespace tl::bind
