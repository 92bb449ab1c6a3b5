// tallow._native.Program: saved programs, opened on any buffer.
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>

#include "../core/hash.h"
#include "../core/plan/program.h"
#include "bind.h"

namespace tl::bind {
namespace {

std::unique_ptr<Program> open_program(nb::handle source) {
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

Program::Entry& entry_of(Program& p, const char* name) {
  Program::Entry* entry = p.entry(name);
  if (!entry)
    raise("ArgumentError", "program", std::string("expected the name of a plan, got ") + name);
  return *entry;
}

// name → (inputs, outputs, symbols as (name, least, most))
nb::dict entry_rows(Program& p) {
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
}

nb::dict section_rows(const Program& p) {
  nb::dict rows;
  for (const Section& s : p.sections())
    rows[s.name.c_str()] = nb::bytes(reinterpret_cast<const char*>(s.data), s.bytes);
  return rows;
}

uint64_t checksum(nb::handle source) {
  Py_buffer buffer;
  if (PyObject_GetBuffer(source.ptr(), &buffer, PyBUF_C_CONTIGUOUS) != 0) throw nb::python_error();
  const uint64_t hash = xxh64(buffer.buf, static_cast<size_t>(buffer.len));
  PyBuffer_Release(&buffer);
  return hash;
}

void set_sizes(Program& p, const char* name, nb::list sizes) {
  std::vector<int64_t> values;
  for (nb::handle each : sizes) values.push_back(nb::cast<int64_t>(each));
  checked([&](Error& error) { return p.set(entry_of(p, name), values, error); });
}

}  // namespace

void bind_program(nb::module_& m) {
  m.def("xxh64", &checksum);
  nb::class_<Program>(m, "Program")
      .def_static("open", &open_program)
      .def_prop_ro("entries", &entry_rows)
      .def_prop_ro("sections", &section_rows)
      .def(
          "plan", [](Program& p, const char* name) { return entry_of(p, name).plan.get(); },
          nb::rv_policy::reference_internal)
      .def("set", &set_sizes)
      .def("call", [](Program& p, const char* name,
                      nb::list inputs) { return call_plan(*entry_of(p, name).plan, inputs); })
      .def("clear_states", &Program::clear_states)
      .def("verify",
           [](const Program& p) { checked([&](Error& error) { return p.verify(error); }); });
}

}  // namespace tl::bind
