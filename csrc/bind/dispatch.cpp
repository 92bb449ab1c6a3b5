// Calls of ops from Python; see dispatch.h. The order is that of docs/adr/0017.
#include "call_cache.h"

#include <cstring>

namespace tl::bind {

PyObject* hooks[kHooks];
PyObject *missing, *plain_types, *node_type, *direct_type;

namespace {

// --- arguments ----------------------------------------------------------------------------------

[[noreturn]] void too_many(const CallerData& c, Py_ssize_t given) {
  PyErr_Format(PyExc_TypeError, "%s() takes from 0 to %d positional arguments but %zd were given",
               c.name.c_str(), c.plain, given);
  throw nb::python_error();
}

int parameter_named(const CallerData& c, PyObject* name) {
  const int n = static_cast<int>(c.parameters.size());
  for (int i = 0; i < n; ++i)
    if (c.parameters[i].name == name && !c.parameters[i].variadic) return i;
  for (int i = 0; i < n; ++i)  // a name made at run time is not interned
    if (!c.parameters[i].variadic && PyUnicode_Compare(c.parameters[i].name, name) == 0) return i;
  return -1;
}

// Fills `v`; gives a dict of what came by other names, or null.
nb::object bind(const CallerData& c, PyObject* const* args, Py_ssize_t given, PyObject* kwnames,
                Values& v) {
  v.n = static_cast<int>(c.parameters.size());
  const Py_ssize_t plain = given < c.plain ? given : c.plain;
  for (Py_ssize_t i = 0; i < plain; ++i) v.at[i] = args[i];
  for (int i = static_cast<int>(plain); i < v.n; ++i) v.at[i] = nullptr;
  if (c.variadic >= 0) {
    PyObject* rest = PyTuple_New(given - plain);
    if (!rest) throw nb::python_error();
    for (Py_ssize_t i = plain; i < given; ++i)
      PyTuple_SET_ITEM(rest, i - plain, Py_NewRef(args[i]));
    v.replace(c.variadic, nb::steal(rest));
  }
  nb::object more;
  const Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
  for (Py_ssize_t k = 0; k < named; ++k) {
    PyObject* name = PyTuple_GET_ITEM(kwnames, k);
    const int i = parameter_named(c, name);
    if (i < 0) {
      if (!more.is_valid()) more = nb::steal(PyDict_New());
      if (PyDict_SetItem(more.ptr(), name, args[given + k]) < 0) throw nb::python_error();
    } else if (v.at[i]) {
      PyErr_Format(PyExc_TypeError, "%s() got multiple values for argument '%U'", c.name.c_str(),
                   name);
      throw nb::python_error();
    } else {
      v.at[i] = args[given + k];
    }
  }
  for (int i = 0; i < v.n; ++i)
    if (!v.at[i]) v.at[i] = c.parameters[i].fallback ? c.parameters[i].fallback : missing;
  return more;
}

// Whether no class of the argument takes functions over.
bool is_plain(PyObject* x) {
  PyTypeObject* type = Py_TYPE(x);
  if (reinterpret_cast<PyObject*>(type) == direct_type || x == Py_None || type == &PyFloat_Type ||
      type == &PyLong_Type || type == &PyBool_Type)
    return true;
  const int found = PySet_Contains(plain_types, reinterpret_cast<PyObject*>(type));
  if (found < 0) throw nb::python_error();
  return found == 1;
}

// Sequences of tensors become lists or tuples; gives whether all arguments are plain.
bool all_plain(const CallerData& c, Values& v) {
  bool plain = true;
  for (int i = 0; i < v.n; ++i) {
    const Parameter::Kind kind = c.parameters[i].kind;
    if (kind == Parameter::tensor) {
      plain = is_plain(v.at[i]) && plain;
    } else if (kind == Parameter::tensors && v.at[i] != Py_None && v.at[i] != missing) {
      if (!PyList_Check(v.at[i]) && !PyTuple_Check(v.at[i])) {
        nb::object list = nb::steal(PySequence_List(v.at[i]));
        if (!list.is_valid()) throw nb::python_error();
        v.replace(i, std::move(list));
      }
      for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(v.at[i]); ++k)
        plain = is_plain(PySequence_Fast_GET_ITEM(v.at[i], k)) && plain;
    }
  }
  return plain;
}

bool any_tracked(const CallerData& c, const Values& v) {
  for (int i = 0; i < v.n; ++i) {
    const Parameter::Kind kind = c.parameters[i].kind;
    if (kind == Parameter::tensor && is_tracked(v.at[i])) return true;
    if (kind != Parameter::tensors || !(PyList_Check(v.at[i]) || PyTuple_Check(v.at[i]))) continue;
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(v.at[i]); ++k)
      if (is_tracked(PySequence_Fast_GET_ITEM(v.at[i], k))) return true;
  }
  return false;
}

// What amp.autocast makes of the tensors among the arguments.
void autocast(const CallerData& c, Values& v) {
  PyObject* args[kMaxParameters + 1] = {c.autocast};
  int n = 1;
  for (int i = 0; i < v.n; ++i)
    if (c.parameters[i].kind == Parameter::tensor) args[n++] = v.at[i];
  nb::object made = nb::steal(PyObject_Vectorcall(mode().autocast, args, n, nullptr));
  if (!made.is_valid()) throw nb::python_error();
  int k = 0;
  for (int i = 0; i < v.n; ++i)
    if (c.parameters[i].kind == Parameter::tensor)
      v.replace(i, checked(PySequence_GetItem(made.ptr(), k++)));
}

// --- recording ----------------------------------------------------------------------------------

// What a kernel sees of an argument: without history, so that it may be lent to anyone.
nb::object detached(PyObject* x) {
  if (is_tracked(x)) {
    array_of(x);  // which may draw it
    return checked(new_tensor(Py_NewRef(as_tensor(x)->array)));
  }
  if (!PyList_Check(x) && !PyTuple_Check(x)) return nb::borrow(x);
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(x);
  nb::object list = nb::steal(PyList_New(n));
  bool changed = false;
  for (Py_ssize_t i = 0; i < n; ++i) {
    nb::object one = detached(PySequence_Fast_GET_ITEM(x, i));
    changed = changed || one.ptr() != PySequence_Fast_GET_ITEM(x, i);
    PyList_SET_ITEM(list.ptr(), i, one.release().ptr());
  }
  return changed ? list : nb::borrow(x);
}

struct NoGrad {
  NoGrad() { mode().enabled = false; }
  ~NoGrad() { end(); }
  void end() { mode().enabled = true; }
};

nb::object run_recorded(CallerData& c, const Values& v, CachedCall* cached) {
  nb::object out;
  NoGrad off;  // what the kernel's binding does with its arguments is no operation
  if (c.run == Run::elementwise) out = run_elementwise(c, v, nullptr);
  if (!out.is_valid()) {
    Values plain;
    plain.n = v.n;
    for (int i = 0; i < v.n; ++i)
      c.parameters[i].kind ? plain.replace(i, detached(v.at[i]))
                           : static_cast<void>(plain.at[i] = v.at[i]);
    out = c.run == Run::elementwise ? call_by_signature(c, c.reference, plain)
                                    : run(c, plain, cached);
    for (int i = 0; i < v.n; ++i)
      if (out.ptr() == plain.at[i]) return nb::borrow(v.at[i]);  // there was nothing to do
  }
  off.end();
  if (is_tensor(out.ptr())) {
    PyObject* one = out.ptr();
    if (carries_gradient(*array_of(one))) record(c, v.at, &one, 1);
    return out;
  }
  if (out.is_none())
    raise("GradError", c.name.c_str(),
          "expected arguments without gradient, since the op writes into them; got one that "
          "requires it (use no_grad())");
  if (PyTuple_Check(out.ptr()) || PyList_Check(out.ptr())) {
    PyObject* const* items = PySequence_Fast_ITEMS(out.ptr());
    const int count = static_cast<int>(PySequence_Fast_GET_SIZE(out.ptr()));
    for (int i = 0; i < count; ++i) {
      if (!is_tensor(items[i]) || !carries_gradient(*array_of(items[i]))) continue;
      record(c, v.at, items, count);
      break;
    }
  }
  return out;
}

void link_results(PyObject* out, PyObject* x) {
  if (mode().inference || out == x || !is_tensor(x)) return;
  if (is_tensor(out)) {
    if (array_of(out)->storage() == array_of(x)->storage()) link_view(out, x, false);
  } else if (PyTuple_Check(out) || PyList_Check(out)) {
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(out); ++i)
      if (is_tensor(PySequence_Fast_GET_ITEM(out, i)))
        link_view(PySequence_Fast_GET_ITEM(out, i), x, true);
  }
}

nb::object call_plain(CallerData& c, Values& v) {
  if (c.autocast && mode().autocast) autocast(c, v);
  CachedCall found;
  CachedCall* cached = c.cache && found.find(c, v) ? &found : nullptr;
  if (c.check && !(cached && cached->recipe)) call_by_position(c.check, v);
  nb::object out;
  if (!c.composite && mode().enabled && any_tracked(c, v)) {
    out = c.has_gradient || c.primitive ? run_recorded(c, v, cached)
                                        : call_by_signature(c, c.reference, v);
  } else {
    out = run(c, v, cached);
  }
  if (c.is_view) link_results(out.ptr(), v.at[0]);
  return out;
}

// --- in-place variants --------------------------------------------------------------------------

// The arguments that are not the op's parameters go to what takes all that the op takes.
nb::object general_in_place(const CallerData& c, PyObject* const* args, Py_ssize_t given,
                            PyObject* kwnames) {
  return checked(PyObject_Vectorcall(c.slow, args, given, kwnames));
}

nb::object call_in_place(CallerData& c, Values& v) {
  PyObject* x = v.at[0];
  if (!is_tensor(x))
    raise("DTypeError", c.name.c_str(),
          std::string("expected a Tensor, got ") + Py_TYPE(x)->tp_name);
  bool tracked = is_tracked(x) || is_hidden(x);
  for (int i = 1; i < v.n; ++i) tracked = tracked || is_tracked(v.at[i]);
  if (tracked && mode().enabled) return call_by_signature(c, c.slow, v);
  if (c.check) call_by_position(c.check, v);
  if (!run_elementwise(c, v, array_of(x)).is_valid())
    return call_by_signature(c, c.in_place ? c.in_place : c.slow, v);
  return nb::borrow(x);
}

// --- the call -----------------------------------------------------------------------------------

// Lets results, and what a call makes on its way, be made where its `device` says, else where its
// tensors are: they become default_device().
struct DeviceGuard {
  const int before = chosen_device;
  DeviceGuard(const CallerData& c, const Values& v) {
    int code = -1;
    bool bound = false;  // a tensor says where, which a CPU's number of 0 axes does not
    auto look = [&](PyObject* x) {
      if (!is_tensor(x)) return;
      // One without an array is a parameter that is still to be drawn, on the CPU.
      const Array* array = as_tensor(x)->array ? array_of(x) : nullptr;
      const Device device = array ? array->device() : Device{};
      const bool binds = device.type != Device::cpu || !array || array->ndim;
      if (bound && binds && code != device.type)
        checked([&](Error& error) {
          return refuse_mixed(c.name.c_str(), {static_cast<Device::Type>(code)}, device, error);
        });
      if (binds || code < 0) code = device.type;
      bound = bound || binds;
    };
    if (c.device >= 0 && v.at[c.device] && v.at[c.device] != Py_None) {
      code = nb::cast<int>(checked(PyObject_CallOneArg(hooks[device_code], v.at[c.device])));
    } else if (several_devices) {
      for (int i = 0; i < v.n; ++i) {
        if (c.parameters[i].kind == Parameter::tensor) look(v.at[i]);
        if (c.parameters[i].kind != Parameter::tensors) continue;
        if (!PyList_Check(v.at[i]) && !PyTuple_Check(v.at[i])) continue;
        for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(v.at[i]); ++k)
          look(PySequence_Fast_GET_ITEM(v.at[i], k));
      }
    }
    if (code >= 0) chosen_device = code;
  }
  ~DeviceGuard() { chosen_device = before; }
};

nb::object call_bound(CallerData& c, PyObject* self, Values& v) {
  const DeviceGuard guard(c, v);
  if (!all_plain(c, v)) {
    // An operator is asked by itself, a function as the caller that users know.
    PyObject* target = c.flags ? self : c.op;
    const bool swapped = c.flags & kSwapped;
    if (swapped) std::swap(v.at[0], v.at[1]);
    nb::object found =
        checked(PyObject_CallFunctionObjArgs(hooks[asked], c.op, v.tuple().ptr(), target, nullptr));
    if (!found.is_none()) return nb::borrow(PyTuple_GetItem(found.ptr(), 0));
    if (swapped) std::swap(v.at[0], v.at[1]);
  }
  if (c.flags & kOperator) {
    PyObject* other = v.at[c.flags & kSwapped ? 0 : 1];
    if (!is_tensor(other) && !PyFloat_Check(other) && !PyLong_Check(other) &&
        !PyComplex_Check(other)) {
      nb::object fits = checked(PyObject_CallOneArg(hooks[is_operand], other));
      if (!PyObject_IsTrue(fits.ptr())) return nb::borrow(Py_NotImplemented);
    }
  }
  return c.flags & kInPlace ? call_in_place(c, v) : call_plain(c, v);
}

nb::object call_general(CallerData& c, PyObject* self, PyObject* const* args, Py_ssize_t given,
                        PyObject* kwnames, Values& v) {
  if (given > c.plain && c.variadic < 0) {
    if (!c.older) too_many(c, given);
    if (c.slow) return general_in_place(c, args, given, kwnames);
    nb::object plain = nb::steal(PyTuple_New(given));
    for (Py_ssize_t i = 0; i < given; ++i) PyTuple_SET_ITEM(plain.ptr(), i, Py_NewRef(args[i]));
    nb::object named = nb::steal(PyDict_New());
    for (Py_ssize_t i = 0; kwnames && i < PyTuple_GET_SIZE(kwnames); ++i)
      PyDict_SetItem(named.ptr(), PyTuple_GET_ITEM(kwnames, i), args[given + i]);
    return checked(
        PyObject_CallFunctionObjArgs(hooks[call_older], c.op, plain.ptr(), named.ptr(), nullptr));
  }
  nb::object more = bind(c, args, given, kwnames, v);
  if (more.is_valid() && c.slow) return general_in_place(c, args, given, kwnames);
  if (more.is_valid())
    return checked(
        PyObject_CallFunctionObjArgs(hooks[by_name], c.op, v.tuple().ptr(), more.ptr(), nullptr));
  if (c.flags & kSwapped) std::swap(v.at[0], v.at[1]);
  return call_bound(c, self, v);
}

// A tensor of the plain class without a node, or a number: the arguments of most calls.
bool is_fast_operand(PyObject* x) {
  if (reinterpret_cast<PyObject*>(Py_TYPE(x)) == direct_type)
    return as_tensor(x)->node == Py_None && as_tensor(x)->array;
  return PyFloat_CheckExact(x) || PyLong_CheckExact(x);
}

// Elementwise ops of plain operands without a gradient, in one step.
PyObject* call_fast(CallerData& c, PyObject* const* args, Py_ssize_t given) {
  ElementwiseArgs call;
  const int n = c.elementwise->operands;
  for (int i = 0; i < n; ++i) {
    PyObject* x = args[c.flags & kSwapped ? n - 1 - i : i];
    const bool tensor = reinterpret_cast<PyObject*>(Py_TYPE(x)) == direct_type;
    call.operands[i] = tensor ? as_tensor(x)->array : x;
    if (several_devices && tensor && backend_of(as_array(call.operands[i])->device()))
      return nullptr;
  }
  if (c.taken > n) {
    std::memcpy(call.constants, c.constants, sizeof call.constants);
    for (Py_ssize_t i = n; i < given; ++i) {
      if (is_tensor(args[i])) return nullptr;
      call.constants[i - n] = real_of(args[i], c.name.c_str());
    }
  }
  if (!accepts_operands(c, call)) return nullptr;
  if (!(c.flags & kInPlace)) return new_tensor(new_array(call_elementwise(c, call, nullptr)));
  if (!is_array(call.operands[0]) || is_hidden(args[0])) return nullptr;
  call_elementwise(c, call, as_array(call.operands[0]));
  return Py_NewRef(args[0]);
}

bool takes_fast_path(const CallerData& c, PyObject* const* args, Py_ssize_t given,
                     PyObject* kwnames) {
  if (!c.direct || kwnames || given < c.fewest || given > c.most) return false;
  for (Py_ssize_t i = 0; i < given; ++i)
    if (!is_fast_operand(args[i])) return false;
  return true;
}

}  // namespace

PyObject* dispatch(CallerData& c, PyObject* self, PyObject* const* args, size_t nargsf,
                   PyObject* kwnames) {
  if (__builtin_expect(traces_running, 0) && is_traced())
    return trace_step(c, self, args, nargsf, kwnames);
  const Py_ssize_t given = PyVectorcall_NARGS(nargsf);
  Values v;
  v.n = -1;
  try {
    if (takes_fast_path(c, args, given, kwnames)) {
      PyObject* made = call_fast(c, args, given);
      if (made || PyErr_Occurred()) return made;
    }
    return call_general(c, self, args, given, kwnames, v).release().ptr();
  } catch (nb::python_error& error) {
    error.restore();
  } catch (nb::builtin_exception& error) {
    PyErr_SetString(PyExc_TypeError, error.what());
  } catch (const std::bad_cast&) {
    PyErr_SetString(PyExc_RuntimeError, "std::bad_cast");
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  // An argument of the wrong kind shows as any of Python's errors somewhere inside.
  if (v.n < 0 || !PyErr_ExceptionMatches(PyExc_Exception)) return nullptr;
  PyObject *type, *value, *trace;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  if (trace) PyException_SetTraceback(value, trace);
  nb::object values = v.tuple();
  PyObject* result =
      PyObject_CallFunctionObjArgs(hooks[refuse], c.op, values.ptr(), value, nullptr);
  Py_XDECREF(result);
  Py_XDECREF(type);
  Py_XDECREF(value);
  Py_XDECREF(trace);
  return nullptr;
}

}  // namespace tl::bind
