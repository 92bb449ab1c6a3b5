// tallow._native.Caller: what users call of an op, made from its definition.
#include "dispatch.h"

#include <structmember.h>

#include <cstddef>

namespace tl::bind {
namespace {

struct Caller {
  PyObject_HEAD vectorcallfunc call;
  CallerData* data;
};
PyTypeObject* caller_type;

CallerData& data_of(PyObject* self) { return *reinterpret_cast<Caller*>(self)->data; }

PyObject* caller_call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  return dispatch(data_of(self), self, args, nargsf, kwnames);
}

PyObject* attribute(PyObject* x, const char* name) {
  PyObject* found = PyObject_GetAttrString(x, name);
  if (!found) throw nb::python_error();
  return found;
}
PyObject* some_attribute(PyObject* x, const char* name) {  // null for None
  PyObject* found = attribute(x, name);
  if (found != Py_None) return found;
  Py_DECREF(found);
  return nullptr;
}
bool flag_attribute(PyObject* x, const char* name) {
  nb::object found = nb::steal(attribute(x, name));
  return PyObject_IsTrue(found.ptr()) == 1;
}

void read_parameters(CallerData& c, PyObject* op) {
  nb::object parameters = nb::steal(attribute(op, "parameters")),
             kinds = nb::steal(attribute(op, "parameter_kinds"));
  nb::object required = nb::steal(attribute(op, "REQUIRED")),
             star = nb::steal(attribute(op, "VARIADIC"));
  nb::list keywords;
  int i = 0;
  for (nb::handle one : nb::borrow<nb::sequence>(parameters)) {
    if (i == kMaxParameters) raise("ArgumentError", c.name.c_str(), "too many parameters");
    Parameter p{};
    p.name = Py_NewRef(PyTuple_GetItem(one.ptr(), 0));
    PyUnicode_InternInPlace(&p.name);
    PyObject* fallback = PyTuple_GetItem(one.ptr(), 2);
    p.variadic = fallback == star.ptr();
    p.keyword = PyObject_IsTrue(PyTuple_GetItem(one.ptr(), 1)) == 1;
    p.fallback = fallback == required.ptr() || p.variadic ? nullptr : Py_NewRef(fallback);
    p.kind = static_cast<Parameter::Kind>(nb::cast<int>(kinds[i]));
    if (p.kind && c.first < 0) c.first = i;
    if (PyUnicode_CompareWithASCIIString(p.name, "device") == 0) c.device = i;
    if (p.variadic)
      c.variadic = i;
    else if (p.keyword)
      keywords.append(nb::borrow(p.name));
    else
      ++c.plain;
    c.parameters.push_back(p);
    ++i;
  }
  c.keyword_names = nb::len(keywords) ? PySequence_Tuple(keywords.ptr()) : nullptr;
}

void read_outputs(CallerData& c, PyObject* op) {
  c.outputs = some_attribute(op, "outputs");
  if (!c.outputs || !PyUnicode_Check(c.outputs)) return;
  read_structured(c, nb::cast<const char*>(nb::handle(c.outputs)));
  Py_CLEAR(c.outputs);
}

// When the kernel runs, and not the reference.
void read_conditions(CallerData& c, PyObject* op) {
  c.applies = some_attribute(op, "applies");
  nb::object dtypes = nb::steal(attribute(op, "kernel_dtypes"));
  if (dtypes.is_none()) return;
  c.dtypes = 0;
  for (nb::handle code : dtypes) c.dtypes |= uint64_t{1} << nb::cast<int>(code);
}

// What of an elementwise op's parameters is known before a call.
void read_constants(CallerData& c) {
  const int n = static_cast<int>(c.parameters.size()), operands = c.elementwise->operands;
  const int most = operands + c.elementwise->constants;
  c.taken = c.arguments || n < most ? n : most;
  if (!c.arguments && n < operands)
    raise("ArgumentError", c.name.c_str(), "its kernel has more operands than it has parameters");
  c.fewest = operands;
  for (int i = operands; i < c.taken; ++i) {
    PyObject* fallback = c.parameters[i].fallback;
    if (fallback && (PyFloat_Check(fallback) || PyLong_Check(fallback)))
      c.constants[i - operands] = real_of(fallback, c.name.c_str());
    else
      c.fewest = i + 1;
  }
  c.most = c.plain < c.taken ? c.plain : c.taken;
  for (int i = c.taken; i < n; ++i)
    if (!c.parameters[i].fallback) c.most = -1;
}

void read_run(CallerData& c, PyObject* op) {
  nb::object kernel = nb::steal(attribute(op, "kernel_name")),
             view = nb::steal(attribute(op, "view_name"));
  nb::object elementwise = nb::steal(attribute(op, "elementwise"));
  c.reference = attribute(op, "reference");
  c.arguments = some_attribute(op, "arguments");
  read_outputs(c, op);
  c.result = some_attribute(op, "result");
  auto find = [&](nb::handle name) {
    const char* text = nb::cast<const char*>(name);
    const Kernel* found = kernels().find(text);
    if (!found)
      raise("ArgumentError", c.name.c_str(),
            std::string("no kernel named ") + text + " in the " + isa_name() + " build");
    return found;
  };
  if (!kernel.is_none()) {
    c.run = Run::kernel;
    c.kernel = find(kernel);
    if (!c.outputs && !c.structured)
      raise("ArgumentError", c.name.c_str(), "a kernel without .out");
    c.whole = flag_attribute(op, "takes_results");
    read_conditions(c, op);
  } else if (!view.is_none()) {
    c.run = Run::view;
    c.function = attribute(op, "view_function");
  } else if (!elementwise.is_none()) {
    c.run = Run::elementwise;
    c.elementwise = find_elementwise(nb::cast<const char*>(elementwise));
    c.kernel = find(elementwise);
    read_conditions(c, op);
    read_constants(c);
  } else {
    c.function = attribute(op, "run");
    c.python = flag_attribute(op, "has_kernel");
  }
}

static_assert(kDTypeCount <= 64, "a set of dtypes is 64 bits");

PyObject* caller_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject* op;
  int flags = 0;
  PyObject* slow = nullptr;
  if (!PyArg_ParseTuple(args, "O|iO", &op, &flags, &slow)) return nullptr;
  auto* self = reinterpret_cast<Caller*>(type->tp_alloc(type, 0));
  if (!self) return nullptr;
  self->call = caller_call;
  auto* c = self->data = new CallerData;
  try {
    c->op = Py_NewRef(op);
    c->flags = static_cast<uint8_t>(flags);
    nb::object name = nb::steal(attribute(op, "__name__"));
    c->name = std::string(nb::cast<const char*>(name));
    read_parameters(*c, op);
    read_run(*c, op);
    if (c->flags & kInPlace) {
      if (c->run != Run::elementwise)
        raise("ArgumentError", c->name.c_str(), "expected an elementwise op");
      c->slow = Py_XNewRef(slow);
      c->in_place = some_attribute(op, "inplace_reference");
    }
    c->check = some_attribute(op, "checker");
    c->direct = c->run == Run::elementwise && !c->check && !c->applies && !c->arguments;
    c->is_view = flag_attribute(op, "is_view");
    c->composite = flag_attribute(op, "is_composite");
    c->primitive = flag_attribute(op, "is_primitive");
    c->older = flag_attribute(op, "takes_older");
    nb::object gradient = nb::steal(attribute(op, "gradient"));
    c->has_gradient = !gradient.is_none();
    c->autocast = some_attribute(op, "autocast");
    if (flag_attribute(op, "cached") && !c->structured && !(c->flags & kInPlace))
      c->cache = new_cache();
  } catch (nb::python_error& error) {
    error.restore();
    Py_DECREF(self);
    return nullptr;
  }
  return reinterpret_cast<PyObject*>(self);
}

template <class F>
int each_object(CallerData& c, F f) {
  for (PyObject** field :
       {&c.op, &c.check, &c.outputs, &c.applies, &c.arguments, &c.function, &c.reference, &c.result,
        &c.autocast, &c.slow, &c.in_place, &c.rule.rule})
    if (int stop = f(*field)) return stop;
  for (Parameter& p : c.parameters)
    if (int stop = f(p.fallback)) return stop;
  return 0;
}
int caller_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!reinterpret_cast<Caller*>(self)->data) return 0;
  return each_object(data_of(self), [&](PyObject* field) {
    Py_VISIT(field);
    return 0;
  });
}
void caller_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (CallerData* c = reinterpret_cast<Caller*>(self)->data) {
    each_object(*c, [](PyObject*& field) {
      Py_CLEAR(field);
      return 0;
    });
    for (Parameter& p : c->parameters) Py_CLEAR(p.name);
    Py_CLEAR(c->keyword_names);
    drop_cache(c->cache);
    delete c;
  }
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* caller_get(PyObject* self, PyObject* instance, PyObject*) {
  return instance ? PyMethod_New(self, instance) : Py_NewRef(self);
}
PyObject* caller_name(PyObject* self, void*) {
  const CallerData& c = data_of(self);
  return PyUnicode_FromFormat(c.flags & kInPlace ? "%s_" : "%s", c.name.c_str());
}
template <int>
PyObject* from_op(PyObject* self, void* name) {
  return PyObject_GetAttrString(data_of(self).op, static_cast<const char*>(name));
}
PyObject* caller_repr(PyObject* self) {
  return PyUnicode_FromFormat("<function %s%s>", data_of(self).name.c_str(),
                              data_of(self).flags & kInPlace ? "_" : "");
}
PyObject* caller_same(PyObject* self, PyObject*) { return Py_NewRef(self); }

PyGetSetDef caller_fields[] = {
    {"__name__", caller_name, nullptr, nullptr, nullptr},
    {"__qualname__", caller_name, nullptr, nullptr, nullptr},
    {"__doc__", from_op<0>, nullptr, nullptr, const_cast<char*>("__doc__")},
    {"__module__", from_op<0>, nullptr, nullptr, const_cast<char*>("__module__")},
    {"__wrapped__", from_op<0>, nullptr, nullptr, const_cast<char*>("signature")},
    {"op", from_op<0>, nullptr, nullptr, const_cast<char*>("itself")},
    {}};
PyObject* caller_reduce(PyObject* self, PyObject*) {  // for pickle
  if (!data_of(self).flags) return PyObject_GetAttrString(data_of(self).op, "reduced");
  return PyErr_SetString(PyExc_TypeError, "an operator of tensors cannot be pickled"), nullptr;
}

PyMethodDef caller_methods[] = {{"__reduce__", caller_reduce, METH_NOARGS, nullptr},
                                {"__copy__", caller_same, METH_NOARGS, nullptr},
                                {"__deepcopy__", caller_same, METH_O, nullptr},
                                {}};
PyMemberDef caller_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Caller, call), READONLY, nullptr}, {}};
PyType_Slot caller_slots[] = {{Py_tp_new, reinterpret_cast<void*>(caller_new)},
                              {Py_tp_dealloc, reinterpret_cast<void*>(caller_dealloc)},
                              {Py_tp_traverse, reinterpret_cast<void*>(caller_traverse)},
                              {Py_tp_call, reinterpret_cast<void*>(PyVectorcall_Call)},
                              {Py_tp_descr_get, reinterpret_cast<void*>(caller_get)},
                              {Py_tp_repr, reinterpret_cast<void*>(caller_repr)},
                              {Py_tp_getset, caller_fields},
                              {Py_tp_methods, caller_methods},
                              {Py_tp_members, caller_members},
                              {0, nullptr}};
PyType_Spec caller_spec{"tallow._native.Caller", sizeof(Caller), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                            Py_TPFLAGS_METHOD_DESCRIPTOR,
                        caller_slots};

}  // namespace

void bind_dispatch(nb::module_& m) {
  bind_call_cache(m);
  caller_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&caller_spec));
  if (!caller_type) throw nb::python_error();
  m.attr("Caller") = nb::handle(reinterpret_cast<PyObject*>(caller_type));
  m.attr("OPERATOR") = static_cast<int>(kOperator);
  m.attr("SWAPPED") = static_cast<int>(kSwapped);
  m.attr("IN_PLACE") = static_cast<int>(kInPlace);
  // The parts in Python: what an absent argument is, types that take nothing over, rare cases.
  m.def("set_dispatch",
        [](nb::handle absent, nb::handle plain, nb::handle node, nb::args functions) {
          if (functions.size() != kHooks)
            throw nb::value_error("set_dispatch: one function for each hook");
          missing = Py_NewRef(absent.ptr());
          plain_types = Py_NewRef(plain.ptr());
          node_type = Py_NewRef(node.ptr());
          for (int i = 0; i < kHooks; ++i) hooks[i] = Py_NewRef(functions[i].ptr());
        });
  m.def("is_hidden", [](nb::handle x) { return is_hidden(x.ptr()); });
  // The class that is taken for plain tensors at once; None while functions are watched.
  m.def(
      "set_direct_type", [](nb::handle type) { direct_type = Py_NewRef(type.ptr()); },
      nb::arg().none());
}

}  // namespace tl::bind
