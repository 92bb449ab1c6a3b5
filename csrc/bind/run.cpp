// Running an op: its results as `.out` says, its kernel, view, or function in Python.
#include "../core/elementwise.h"
#include "dispatch.h"

namespace tl::bind {

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

namespace {

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

// A tensor as `.out` says (definition.Op.out).
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

}  // namespace

bool is_absent(const Kernel& kernel, Device device) {
  return backend_of(device) && !kernels(device)->find(kernel.name);
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

namespace {

nb::object run_kernel(const CallerData& c, const Values& v) {
  if (!accepts(c, v)) return call_by_signature(c, c.reference, v);
  const Device device = device_of(c, v);
  if (is_absent(*c.kernel, device)) return call_by_signature(c, c.reference, v);
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

// A kernel in Python runs on the CPU; on meta its results are known at least.
nb::object run_function(const CallerData& c, const Values& v) {
  if (several_devices && c.python && backend_of(device_of(c, v)))
    return call_by_signature(c, c.reference, v);
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

}  // namespace

bool is_absent(const CallerData& c, PyObject* const* values) {
  for (int i = 0; several_devices && i < c.elementwise->operands; ++i) {
    if (!is_tensor(values[i])) continue;
    const Device device = array_of(values[i])->device();
    if (backend_of(device)) return is_absent(*c.kernel, device);
  }
  return false;
}

nb::object run_elementwise(const CallerData& c, PyObject* const* values, Array* given) {
  const int n = c.elementwise->operands;
  PyObject* operands[3];
  nb::object own[3];
  if (is_absent(c, values)) {
    nb::object made = checked(PyObject_Vectorcall(c.reference, values, n, nullptr));
    if (!given) return made;
    const Array& result = *array_of(made.ptr());
    checked([&](Error& error) { return store(*given, result, c.name.c_str(), error); });
    return nb::none();
  }
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
      return c.structured ? run_structured(c, v) : run_kernel(c, v);
    case Run::view:
      return run_view(c, v);
    default:
      return c.structured ? run_structured(c, v) : run_function(c, v);
  }
}

}  // namespace tl::bind
