// Calls of ops from Python; see dispatch.h. The order is that of docs/adr/0017.
#include "dispatch.h"

#include <structmember.h>

#include <cstddef>
#include <cstring>

namespace tl::bind {

PyObject* hooks[kHooks];
PyObject *missing, *plain_types, *node_type, *direct_type;

namespace {

struct Caller {
  PyObject_HEAD vectorcallfunc call;
  CallerData* data;
};
PyTypeObject* caller_type;

CallerData& data_of(PyObject* self) { return *reinterpret_cast<Caller*>(self)->data; }

nb::object checked(PyObject* result) {
  if (!result) throw nb::python_error();
  return nb::steal(result);
}

// --- arguments ----------------------------------------------------------------------------------

// All parameters in order: borrowed references, save what `own` holds.
struct Values {
  PyObject* at[kMaxParameters];
  int n;
  std::vector<nb::object> own;
  void replace(int i, nb::object value) {
    at[i] = value.ptr();
    own.push_back(std::move(value));
  }
  nb::object tuple() const {
    PyObject* made = PyTuple_New(n);
    if (!made) throw nb::python_error();
    for (int i = 0; i < n; ++i) PyTuple_SET_ITEM(made, i, Py_NewRef(at[i]));
    return nb::steal(made);
  }
};

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

// --- running ------------------------------------------------------------------------------------

nb::object call_by_position(PyObject* function, const Values& v) {
  return checked(PyObject_Vectorcall(function, v.at, v.n, nullptr));
}

// In the op's own signature: variadic arguments spread, keywords by name.
nb::object call_by_signature(const CallerData& c, PyObject* function, const Values& v) {
  if (c.variadic < 0 && c.plain == v.n) return call_by_position(function, v);
  std::vector<PyObject*> args(v.at, v.at + c.plain);
  if (c.variadic >= 0)
    for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(v.at[c.variadic]); ++i)
      args.push_back(PySequence_Fast_GET_ITEM(v.at[c.variadic], i));
  const size_t positional = args.size();
  for (int i = 0; i < v.n; ++i)
    if (c.parameters[i].keyword) args.push_back(v.at[i]);
  return checked(PyObject_Vectorcall(function, args.data(), positional, c.keyword_names));
}

DType dtype_of(PyObject* given) {
  nb::object code = nb::steal(PyObject_GetAttrString(given, "code"));
  if (!code.is_valid()) throw nb::python_error();
  const long value = PyLong_AsLong(code.ptr());
  if (value == -1 && PyErr_Occurred()) throw nb::python_error();
  return dtype_from(value);
}

// Where results are made: on the device of the first tensor, else where the parameter `device`
// says.
Device device_of(const CallerData& c, const Values& v) {
  for (int i = c.first < 0 ? v.n : c.first; i < v.n; ++i) {
    if (c.parameters[i].kind == Parameter::tensor && is_tensor(v.at[i]))
      return array_of(v.at[i])->device();
    if (c.parameters[i].kind != Parameter::tensors) continue;
    if (!PyList_Check(v.at[i]) && !PyTuple_Check(v.at[i])) continue;
    for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(v.at[i]); ++k)
      if (is_tensor(PySequence_Fast_GET_ITEM(v.at[i], k)))
        return array_of(PySequence_Fast_GET_ITEM(v.at[i], k))->device();
  }
  PyObject* given = c.device < 0 ? Py_None : v.at[c.device];
  nb::object code = checked(PyObject_CallOneArg(hooks[device_code], given));
  return {static_cast<Device::Type>(nb::cast<int>(code))};
}

// A tensor as `.out` says (registry.Op.out).
nb::object allocated(const CallerData& c, PyObject* wanted, Device device) {
  const char* where = c.name.c_str();
  auto made = [](Array&& array) { return checked(new_tensor(new_array(std::move(array)))); };
  if (is_tensor(wanted)) {
    const Array& x = *array_of(wanted);
    return made(like(x, x.dtype, where, device));
  }
  if (!PyTuple_Check(wanted) || PyTuple_GET_SIZE(wanted) < 2)
    raise("ArgumentError", where, "its .out gives neither a tensor nor (shape, dtype)");
  PyObject* shape = PyTuple_GET_ITEM(wanted, 0);
  const DType dtype = dtype_of(PyTuple_GET_ITEM(wanted, 1));
  if (is_tensor(shape)) return made(like(*array_of(shape), dtype, where, device));
  int64_t dims[kMaxDims], order[kMaxDims], moved[kMaxDims];
  const int n = static_cast<int>(shape_from(shape, dims));
  if (PyTuple_GET_SIZE(wanted) == 2) return made(empty(dtype, dims, n, where, device));
  bool good = shape_from(PyTuple_GET_ITEM(wanted, 2), order) == n;
  uint32_t seen = 0;
  for (int i = 0; good && i < n; ++i) {
    good = order[i] >= 0 && order[i] < n && !(seen >> order[i] & 1);
    if (good) seen |= 1u << order[i];
  }
  if (!good) raise("ArgumentError", where, "the order in its .out does not name each axis once");
  for (int i = 0; i < n; ++i) moved[i] = dims[order[i]];
  Array out = empty(dtype, moved, n, where, device);
  View view = out;
  for (int i = 0; i < n; ++i) {
    view.shape[order[i]] = out.shape[i];
    view.strides[order[i]] = out.strides[i];
  }
  return made(out.with(view));
}

constexpr int kMostResults = 8;
// The results of a call, not computed yet: `all` is a tensor, a tuple of them, or None.
struct Results {
  nb::object each[kMostResults], all = nb::none();
  int count = 0;
};

void allocate(const CallerData& c, const Values& v, Device device, Results& results) {
  nb::object wanted = call_by_position(c.outputs, v);
  if (wanted.is_none()) return;
  if (!PyList_CheckExact(wanted.ptr())) {
    results.each[results.count++] = results.all = allocated(c, wanted.ptr(), device);
    return;
  }
  const int n = static_cast<int>(PyList_GET_SIZE(wanted.ptr()));
  if (n > kMostResults) raise("ArgumentError", c.name.c_str(), "its .out gives too many results");
  results.all = nb::steal(PyTuple_New(n));
  for (; results.count < n; ++results.count) {
    nb::object one = allocated(c, PyList_GET_ITEM(wanted.ptr(), results.count), device);
    PyTuple_SET_ITEM(results.all.ptr(), results.count, Py_NewRef(one.ptr()));
    results.each[results.count] = std::move(one);
  }
}

nb::object named(const CallerData& c, Results& results) {
  if (!c.result) return results.all;
  return checked(PyObject_CallObject(c.result, results.all.ptr()));
}

bool accepts(const CallerData& c, const Values& v) {
  if (~c.dtypes && c.first >= 0) {
    PyObject* x = v.at[c.first];
    if (PyList_Check(x) || PyTuple_Check(x))
      x = PySequence_Fast_GET_SIZE(x) ? PySequence_Fast_GET_ITEM(x, 0) : Py_None;
    if (is_tensor(x) && !(c.dtypes >> static_cast<int>(array_of(x)->dtype) & 1)) return false;
  }
  if (!c.applies) return true;
  const int yes = PyObject_IsTrue(call_by_position(c.applies, v).ptr());
  if (yes < 0) throw nb::python_error();
  return yes == 1;
}

nb::object run_kernel(const CallerData& c, const Values& v) {
  if (!accepts(c, v)) return call_by_signature(c, c.reference, v);
  const Device device = device_of(c, v);
  Results results;
  allocate(c, v, device, results);
  if (!kernels(device)) return named(c, results);
  PyObject* args[2 * kMaxParameters];
  int n = 0;
  nb::object mapped;
  if (c.arguments) {
    PyObject* given[kMaxParameters + 1] = {results.all.ptr()};
    for (int i = 0; i < v.n; ++i) given[i + 1] = v.at[i];
    mapped = c.whole ? checked(PyObject_Vectorcall(c.arguments, given, v.n + 1, nullptr))
                     : call_by_position(c.arguments, v);
    if (!PyTuple_Check(mapped.ptr()) || PyTuple_GET_SIZE(mapped.ptr()) > kMaxParameters)
      raise("ArgumentError", c.name.c_str(), "the arguments of its kernel are no tuple");
  }
  if (!c.whole)
    for (int i = 0; i < results.count; ++i) args[n++] = results.each[i].ptr();
  if (c.arguments)
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(mapped.ptr()); ++i)
      args[n++] = PyTuple_GET_ITEM(mapped.ptr(), i);
  else
    for (int i = 0; i < v.n; ++i) args[n++] = v.at[i];
  call_kernel(*c.kernel, args, n, c.name.c_str());
  return named(c, results);
}

// A kernel in Python runs on the CPU; elsewhere its results are known at least.
nb::object run_function(const CallerData& c, const Values& v) {
  if (c.outputs) {
    const Device device = device_of(c, v);
    if (!kernels(device)) {
      Results results;
      allocate(c, v, device, results);
      return named(c, results);
    }
  }
  return call_by_signature(c, c.function, v);
}

nb::object view_of(const CallerData& c, PyObject* const* given, Py_ssize_t n) {
  PyObject* args[kMaxParameters];
  if (n < 1 || n > kMaxParameters || !is_tensor(given[0])) {
    PyErr_SetString(PyExc_AttributeError, "_array");
    throw nb::python_error();
  }
  array_of(given[0]);
  args[0] = as_tensor(given[0])->array;
  for (Py_ssize_t i = 1; i < n; ++i) args[i] = given[i];
  return checked(new_tensor(PyObject_Vectorcall(c.function, args, n, nullptr)));
}

// A view, or several where the function of its arguments gives a list of them.
nb::object run_view(const CallerData& c, const Values& v) {
  if (!c.arguments) return view_of(c, v.at, v.n);
  nb::object given = call_by_position(c.arguments, v);
  if (PyTuple_CheckExact(given.ptr()))
    return view_of(c, PySequence_Fast_ITEMS(given.ptr()), PyTuple_GET_SIZE(given.ptr()));
  if (!PyList_CheckExact(given.ptr())) return given;  // there is nothing to do
  const Py_ssize_t n = PyList_GET_SIZE(given.ptr());
  nb::object made = nb::steal(PyTuple_New(n));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* one = PyList_GET_ITEM(given.ptr(), i);
    if (!PyTuple_CheckExact(one)) raise("ArgumentError", c.name.c_str(), "expected tuples");
    PyTuple_SET_ITEM(made.ptr(), i,
                     view_of(c, PySequence_Fast_ITEMS(one), PyTuple_GET_SIZE(one)).release().ptr());
  }
  return made;
}

// An operand as the elementwise kernels take it: an array or a number.
PyObject* operand_of(const CallerData& c, PyObject* x, nb::object& own) {
  if (is_tensor(x)) return array_of(x), as_tensor(x)->array;
  if (PyFloat_Check(x) || PyLong_Check(x) || PyComplex_Check(x)) return x;
  own = checked(PyObject_CallFunction(hooks[unwrap], "Os", x, c.name.c_str()));
  return own.ptr();
}

nb::object run_elementwise(const CallerData& c, PyObject* const* values, Array* given) {
  const int n = c.elementwise->operands;
  PyObject* operands[3];
  nb::object own[3];
  for (int i = 0; i < n; ++i) operands[i] = operand_of(c, values[i], own[i]);
  Array made = call_elementwise(*c.kernel, *c.elementwise, operands, given);
  if (given) return nb::none();
  return checked(new_tensor(new_array(std::move(made))));
}

nb::object run(const CallerData& c, const Values& v) {
  switch (c.run) {
    case Run::elementwise:
      return run_elementwise(c, v.at, nullptr);
    case Run::kernel:
      return run_kernel(c, v);
    case Run::view:
      return run_view(c, v);
    default:
      return run_function(c, v);
  }
}

// --- recording ----------------------------------------------------------------------------------

// What a kernel sees of an argument: without history, so that it may be lent to anyone.
nb::object without_history(PyObject* x) {
  if (is_tracked(x)) {
    array_of(x);  // which may draw it
    return checked(new_tensor(Py_NewRef(as_tensor(x)->array)));
  }
  if (!PyList_Check(x) && !PyTuple_Check(x)) return nb::borrow(x);
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(x);
  nb::object list = nb::steal(PyList_New(n));
  bool changed = false;
  for (Py_ssize_t i = 0; i < n; ++i) {
    nb::object one = without_history(PySequence_Fast_GET_ITEM(x, i));
    changed = changed || one.ptr() != PySequence_Fast_GET_ITEM(x, i);
    PyList_SET_ITEM(list.ptr(), i, one.release().ptr());
  }
  return changed ? list : nb::borrow(x);
}

struct NoGrad {
  NoGrad() { mode().enabled = false; }
  ~NoGrad() { mode().enabled = true; }
};

nb::object run_recorded(CallerData& c, const Values& v) {
  Values plain;
  plain.n = v.n;
  if (c.run == Run::elementwise) {
    std::memcpy(plain.at, v.at, sizeof(PyObject*) * v.n);
  } else {
    for (int i = 0; i < v.n; ++i)
      c.parameters[i].kind ? plain.replace(i, without_history(v.at[i]))
                           : static_cast<void>(plain.at[i] = v.at[i]);
  }
  nb::object out;
  {
    NoGrad off;  // what the kernel's binding does with its arguments is no operation
    out = run(c, plain);
  }
  if (is_tensor(out.ptr())) {
    for (int i = 0; i < v.n; ++i)
      if (out.ptr() == plain.at[i]) return nb::borrow(v.at[i]);  // there was nothing to do
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
  if (c.check) call_by_position(c.check, v);
  nb::object out;
  if (!c.composite && mode().enabled && any_tracked(c, v)) {
    out = c.has_gradient || c.primitive ? run_recorded(c, v) : call_by_signature(c, c.reference, v);
  } else {
    out = run(c, v);
  }
  if (c.is_view) link_results(out.ptr(), v.at[0]);
  return out;
}

// --- in-place twins -----------------------------------------------------------------------------

// Whether it is a view without history of a tensor with one: made in no_grad.
bool is_hidden(PyObject* x) {
  PyObject* base = as_tensor(x)->base;
  return base && base != Py_None && is_tracked(base) && !is_tracked(x) &&
         carries_gradient(*array_of(x));
}

nb::object call_in_place(CallerData& c, Values& v) {
  PyObject* x = v.at[0];
  if (!is_tensor(x))
    raise("DTypeError", c.name.c_str(),
          std::string("expected a Tensor, got ") + Py_TYPE(x)->tp_name);
  bool tracked = is_tracked(x) || is_hidden(x);
  for (int i = 1; i < v.n; ++i) tracked = tracked || is_tracked(v.at[i]);
  if (tracked && mode().enabled) return call_by_position(c.slow, v);
  run_elementwise(c, v.at, array_of(x));
  return nb::borrow(x);
}

// --- the call -----------------------------------------------------------------------------------

// Lets what a call makes on its way be made where its tensors are, or where its `device` says.
struct Placed {
  const int before = chosen_device;
  Placed(const CallerData& c, const Values& v) {
    int code = -1;
    auto look = [&code](PyObject* x) {
      // One without an array is a parameter that is still to be drawn, on the CPU.
      if (code < 1 && is_tensor(x))
        code = as_tensor(x)->array ? static_cast<int>(array_of(x)->device().type) : 0;
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
  ~Placed() { chosen_device = before; }
};

nb::object call_bound(CallerData& c, PyObject* self, Values& v) {
  const Placed placed(c, v);
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
    PyObject* other = v.at[c.flags & kSwapped ? 0 : v.n - 1];
    if (v.n == 2 && !is_tensor(other) && !PyFloat_Check(other) && !PyLong_Check(other) &&
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
    nb::object plain = nb::steal(PyTuple_New(given));
    for (Py_ssize_t i = 0; i < given; ++i) PyTuple_SET_ITEM(plain.ptr(), i, Py_NewRef(args[i]));
    nb::object named = nb::steal(PyDict_New());
    for (Py_ssize_t i = 0; kwnames && i < PyTuple_GET_SIZE(kwnames); ++i)
      PyDict_SetItem(named.ptr(), PyTuple_GET_ITEM(kwnames, i), args[given + i]);
    return checked(
        PyObject_CallFunctionObjArgs(hooks[call_older], c.op, plain.ptr(), named.ptr(), nullptr));
  }
  nb::object more = bind(c, args, given, kwnames, v);
  if (more.is_valid())
    return checked(
        PyObject_CallFunctionObjArgs(hooks[by_name], c.op, v.tuple().ptr(), more.ptr(), nullptr));
  if (c.flags & kSwapped) std::swap(v.at[0], v.at[1]);
  return call_bound(c, self, v);
}

// A tensor of the plain class without a node, or a number: the arguments of most calls.
bool is_quick(PyObject* x) {
  if (reinterpret_cast<PyObject*>(Py_TYPE(x)) == direct_type)
    return as_tensor(x)->node == Py_None && as_tensor(x)->array;
  return PyFloat_CheckExact(x) || PyLong_CheckExact(x);
}

// Elementwise ops of plain operands without a gradient, in one step.
PyObject* call_quick(CallerData& c, PyObject* const* args) {
  PyObject* operands[2];
  const int n = c.elementwise->operands;
  for (int i = 0; i < n; ++i) {
    PyObject* x = args[c.flags & kSwapped ? n - 1 - i : i];
    operands[i] = reinterpret_cast<PyObject*>(Py_TYPE(x)) == direct_type ? as_tensor(x)->array : x;
  }
  if (!(c.flags & kInPlace))
    return new_tensor(new_array(call_elementwise(*c.kernel, *c.elementwise, operands, nullptr)));
  if (!is_array(operands[0]) || is_hidden(args[0])) return nullptr;
  call_elementwise(*c.kernel, *c.elementwise, operands, as_array(operands[0]));
  return Py_NewRef(args[0]);
}

bool takes_quick(const CallerData& c, PyObject* const* args, Py_ssize_t given, PyObject* kwnames) {
  if (c.run != Run::elementwise || kwnames || given != c.plain || c.check) return false;
  for (Py_ssize_t i = 0; i < given; ++i)
    if (!is_quick(args[i])) return false;
  return true;
}

// Of a tensor without values, which is told by the op's name.
bool is_device_error() {
  const char* name = PyExceptionClass_Name(PyErr_Occurred());
  return strcmp(name, "DeviceError") == 0 || strcmp(name, "tallow.errors.DeviceError") == 0;
}

PyObject* caller_call(PyObject* self, PyObject* const* args, size_t nargsf, PyObject* kwnames) {
  CallerData& c = data_of(self);
  const Py_ssize_t given = PyVectorcall_NARGS(nargsf);
  Values v;
  v.n = -1;
  try {
    if (takes_quick(c, args, given, kwnames)) {
      PyObject* made = call_quick(c, args);
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
  // A number where a tensor is needed shows as a missing attribute somewhere inside.
  if (v.n < 0 ||
      !(PyErr_ExceptionMatches(PyExc_AttributeError) ||
        PyErr_ExceptionMatches(PyExc_RuntimeError) || PyErr_ExceptionMatches(PyExc_TypeError) ||
        PyErr_ExceptionMatches(PyExc_OverflowError) || PyErr_ExceptionMatches(PyExc_ValueError) ||
        (several_devices && is_device_error())))
    return nullptr;
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

// --- the type -----------------------------------------------------------------------------------

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
             kinds = nb::steal(attribute(op, "kinds"));
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

void read_run(CallerData& c, PyObject* op) {
  nb::object kernel = nb::steal(attribute(op, "kernel_name")),
             view = nb::steal(attribute(op, "view_name"));
  nb::object elementwise = nb::steal(attribute(op, "elementwise"));
  c.reference = attribute(op, "reference");
  c.arguments = some_attribute(op, "arguments");
  c.outputs = some_attribute(op, "outputs");
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
    if (!c.outputs) raise("ArgumentError", c.name.c_str(), "a kernel without .out");
    c.applies = some_attribute(op, "applies");
    c.whole = flag_attribute(op, "takes_results");
    nb::object dtypes = nb::steal(attribute(op, "kernel_dtypes"));
    if (!dtypes.is_none()) {
      c.dtypes = 0;
      for (nb::handle code : dtypes) c.dtypes |= uint64_t{1} << nb::cast<int>(code);
    }
  } else if (!view.is_none()) {
    c.run = Run::view;
    c.function = attribute(op, "view_function");
  } else if (!elementwise.is_none()) {
    c.run = Run::elementwise;
    c.elementwise = find_elementwise(nb::cast<const char*>(elementwise));
    c.kernel = find(elementwise);
  } else {
    c.function = attribute(op, "run");
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
    } else {
      c->check = some_attribute(op, "checker");
    }
    c->is_view = flag_attribute(op, "is_view");
    c->composite = flag_attribute(op, "is_composite");
    c->primitive = flag_attribute(op, "is_primitive");
    c->older = flag_attribute(op, "takes_older");
    nb::object gradient = nb::steal(attribute(op, "gradient"));
    c->has_gradient = !gradient.is_none();
    c->autocast = some_attribute(op, "autocast");
  } catch (nb::python_error& error) {
    error.restore();
    Py_DECREF(self);
    return nullptr;
  }
  return reinterpret_cast<PyObject*>(self);
}

template <class F>
int each_object(CallerData& c, F f) {
  for (PyObject** field : {&c.op, &c.check, &c.outputs, &c.applies, &c.arguments, &c.function,
                           &c.reference, &c.result, &c.autocast, &c.slow, &c.rule.rule})
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
PyMethodDef caller_methods[] = {{"__copy__", caller_same, METH_NOARGS, nullptr},
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
  // The class that is taken for plain tensors at once; None while functions are watched.
  m.def(
      "set_direct_type", [](nb::handle type) { direct_type = Py_NewRef(type.ptr()); },
      nb::arg().none());
}

}  // namespace tl::bind
