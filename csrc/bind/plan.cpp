// tallow._native.Capture and Plan: calls recorded as tables, and tables run.
#include <nanobind/stl/string.h>

#include <cstring>
#include <memory>

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

// All bytes of a buffer that has memory.
Array held(const Plan& p, size_t buffer) {
  if (buffer >= p.tables().buffers.size() || !p.tables().buffers[buffer].held.ok())
    raise("ArgumentError", "plan", "expected a buffer that has memory");
  return bytes_of_storage(p.tables().buffers[buffer].held);
}

}  // namespace

void expect_readable(const Array& x, const char* where, bool lent) {
  if (lent) x.storage()->guards |= kLent;
  refuse_trace();
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

nb::list call_plan(Plan& p, nb::list inputs) {
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

// Of the tensors in a list, that at a place.
static const Array& array_at(nb::list tensors, nb::handle place, const char* where) {
  const Py_ssize_t at = PyLong_AsSsize_t(place.ptr());
  if (PyErr_Occurred()) throw nb::python_error();
  if (at < 0 || at >= PyList_GET_SIZE(tensors.ptr()) ||
      !is_tensor(PyList_GET_ITEM(tensors.ptr(), at)))
    raise("ArgumentError", where, "expected places of tensors");
  return *array_of(PyList_GET_ITEM(tensors.ptr(), at));
}

// The same on those of the tensors that have these places; gives tensors.
static nb::list apply_plan(Plan& p, nb::list tensors, nb::tuple places) {
  expect_no_capture();
  std::vector<const Array*> given;
  for (nb::handle place : places) given.push_back(&array_at(tensors, place, "plan"));
  std::vector<Array> results;
  checked([&](Error& error) {
    nb::gil_scoped_release release;
    return p.call(given, results, error);
  });
  nb::list list;
  for (Array& each : results) list.append(nb::steal(new_tensor(new_array(std::move(each)))));
  return list;
}

// The bytes of small tensors, one after the other.
static nb::bytes elements(nb::list tensors, nb::tuple places) {
  std::string bytes;
  for (nb::handle place : places) {
    Array x = array_at(tensors, place, "elements");
    expect_values(x, "elements");
    expect_readable(x, "elements");
    if (!x.contiguous() || is_block(x.dtype))
      raise("ArgumentError", "elements", "expected contiguous tensors of a plain dtype");
    x.sync();
    bytes.append(reinterpret_cast<const char*>(x.data), x.size() * bytes_of(x.dtype));
  }
  return nb::bytes(bytes.data(), bytes.size());
}

static void bind_capture(nb::module_& m) {
  m.def("capturing", [] { return recording() != nullptr; });
  m.def("depends_on_input", [](const Array& x) {
    Capture* capture = recording();
    return capture && capture->depends_on_input(x);
  });
  nb::class_<Capture>(m, "Capture")
      .def(nb::init<bool>())
      .def("input",
           [](Capture& c, const Array& x) {
             checked([&](Error& error) { return c.add_input(x, error); });
           })
      .def_rw("dry", &Capture::dry)
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
}

static void bind_runs(nb::class_<Plan>& c) {
  c.def("run",
        [](Plan& p) {
          expect_no_capture();
          checked([&](Error& error) {
            nb::gil_scoped_release release;
            return p.run(error);
          });
        })
      .def("call", &call_plan)
      .def("apply", &apply_plan)
      .def("release", &Plan::release)
      // One replay, and how long each call took: a list of (kernel, seconds).
      .def("profile", [](Plan& p) {
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
      });
}

static void bind_tables(nb::class_<Plan>& c) {
  c.def_prop_ro("arena_bytes", &Plan::arena_bytes)
      .def_prop_ro("stale", &Plan::stale)
      .def_ro("read_weights", &Plan::read_weights)
      .def_prop_ro("buffers", [](const Plan& p) { return buffer_rows(p.tables()); })
      .def_prop_ro("values", [](const Plan& p) { return value_rows(p.tables()); })
      .def_prop_ro("calls", [](const Plan& p) { return call_rows(p.tables()); })
      .def_prop_ro("inputs", [](const Plan& p) { return numbers(p.tables().inputs); })
      .def_prop_ro("outputs", [](const Plan& p) { return numbers(p.tables().outputs); })
      // The bytes of a weight, constant or state.
      .def("held", &held)
      .def("__len__", [](const Plan& p) { return p.tables().calls.size(); });
}

static nb::bytes packed(const std::vector<int64_t>& numbers) {
  return nb::bytes(numbers.data(), numbers.size() * sizeof(int64_t));
}

// Of tensors: which array each has and how often it was written, to be compared with another time;
// and whether one requires a gradient.
static nb::tuple tensors_state(nb::list tensors) {
  std::vector<int64_t> state;
  bool recorded = false;
  for (nb::handle each : tensors) {
    const Array* array = array_of(each.ptr());
    state.push_back(reinterpret_cast<intptr_t>(array));
    state.push_back(array->storage()->version.load());
    recorded |= as_tensor(each.ptr())->node != Py_None;
  }
  return nb::make_tuple(packed(state), recorded);
}

// Of the tensors in these tables: whether tensors_state would give the same, and whether one of
// them or of `inputs` requires a gradient.
static nb::tuple compare_state(nb::bytes state, nb::dict first, nb::dict second, nb::list inputs) {
  const char* at = state.c_str();
  const char* const end = at + state.size();
  bool same = true, recorded = false;
  for (nb::handle table : {nb::handle(first), nb::handle(second)}) {
    PyObject *name, *tensor;
    for (Py_ssize_t i = 0; PyDict_Next(table.ptr(), &i, &name, &tensor);) {
      const TensorObject& object = *as_tensor(tensor);
      if (!object.array && object.node == Py_None) continue;
      const Array* array = array_of(tensor);
      const int64_t now[] = {reinterpret_cast<intptr_t>(array), array->storage()->version.load()};
      const bool fits = end - at >= static_cast<std::ptrdiff_t>(sizeof now);
      same = same && fits && memcmp(at, now, sizeof now) == 0;
      if (!same) return nb::make_tuple(false, recorded);
      at += sizeof now;
      recorded |= object.node != Py_None;
    }
  }
  for (nb::handle each : inputs)
    recorded |= is_tensor(each.ptr()) && as_tensor(each.ptr())->node != Py_None;
  return nb::make_tuple(at == end, recorded);
}

// Dtypes, shapes and strides of tensors, None in the place of others.
static nb::bytes signature(nb::args values) {
  std::vector<int64_t> parts;
  for (nb::handle each : values) {
    if (!is_tensor(each.ptr())) {
      parts.push_back(each.is_none() ? -1 : -2);
      continue;
    }
    const Array& x = *array_of(each.ptr());
    parts.push_back(static_cast<int64_t>(x.dtype) << 8 | x.ndim);
    parts.insert(parts.end(), x.shape, x.shape + x.ndim);
    parts.insert(parts.end(), x.strides, x.strides + x.ndim);
  }
  return packed(parts);
}

void bind_plan(nb::module_& m) {
  m.def("tensors_state", &tensors_state);
  m.def("compare_state", &compare_state);
  m.def("signature", &signature);
  m.def("elements", &elements);
  bind_capture(m);
  nb::class_<Plan> c(m, "Plan");
  bind_runs(c);
  bind_tables(c);
  bind_rewritten(c);
}

}  // namespace tl::bind
