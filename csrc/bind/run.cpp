// Running an op: its results as `.out` says, its kernel, view, or function in Python.
#include <utility>

#include "../core/plan/capture.h"
#include "../core/watch.h"
#include "call_cache.h"

namespace tl::bind {

nb::object call_by_position(PyObject* function, const Values& v) {
  return checked(PyObject_Vectorcall(function, v.at, v.n, nullptr));
}

// Tells of an op that calls no kernel itself, and of its tensors.
__attribute__((cold, noinline)) static void tell(const Watch& w, const char* kind,
                                                 const CallerData& c, const Values& v) {
  const View* arrays[kMaxParameters];
  int n = 0;
  for (int i = 0; i < v.n; ++i)
    if (is_tensor(v.at[i])) arrays[n++] = array_of(v.at[i]);
  w.op(kind, c.name.c_str(), arrays, n);
}

static void tell(const char* kind, const CallerData& c, const Values& v) {
  if (const Watch* w = watching(); __builtin_expect(w != nullptr, 0)) tell(*w, kind, c, v);
}

// In the op's own signature: variadic arguments spread, keywords by name.
nb::object call_by_signature(const CallerData& c, PyObject* function, const Values& v) {
  tell("op", c, v);
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

// Where the call makes its results (Placed in dispatch.cpp).
Device results_device() { return {static_cast<Device::Type>(default_device())}; }

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

}  // namespace

nb::object named(const CallerData& c, Results& results) {
  if (!c.result) return results.all;
  return checked(PyObject_CallObject(c.result, results.all.ptr()));
}

bool is_absent(const Kernel& kernel, Device device) {
  return backend_of(device) && !kernels(device)->find(kernel.name);
}

static bool applies(const CallerData& c, const Values& v) {
  if (!c.applies) return true;
  const int yes = PyObject_IsTrue(call_by_position(c.applies, v).ptr());
  if (yes < 0) throw nb::python_error();
  return yes == 1;
}

bool accepts(const CallerData& c, const Values& v) {
  if (~c.dtypes && c.first >= 0) {
    PyObject* x = v.at[c.first];
    if (PyList_Check(x) || PyTuple_Check(x))
      x = PySequence_Fast_GET_SIZE(x) ? PySequence_Fast_GET_ITEM(x, 0) : Py_None;
    if (is_tensor(x) && !(c.dtypes >> static_cast<int>(array_of(x)->dtype) & 1)) return false;
  }
  return applies(c, v);
}

namespace {

nb::object run_kernel(const CallerData& c, const Values& v, Trace* trace) {
  if (!accepts(c, v)) return call_by_signature(c, c.reference, v);
  const Device device = results_device();
  if (is_absent(*c.kernel, device)) return call_by_signature(c, c.reference, v);
  Results results;
  allocate(c, v, device, results);
  if (!kernels(device)) return named(c, results);
  if (trace) trace->outputs(results);
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
  if (trace) trace->kernel(args, n);
  call_kernel(*c.kernel, args, n, c.name.c_str());
  return named(c, results);
}

// A kernel in Python runs on the CPU; on meta its results are known at least.
nb::object run_function(const CallerData& c, const Values& v) {
  if (c.python && backend_of(results_device())) return call_by_signature(c, c.reference, v);
  if (c.outputs) {
    const Device device = results_device();
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
  tell("view", c, v);
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

// Whether an option that the kernel does not know has its default.
bool is_default(const Parameter& p, PyObject* value) {
  if (value == p.fallback) return true;
  if (!p.fallback) return false;
  const int same = PyObject_RichCompareBool(value, p.fallback, Py_EQ);
  if (same < 0) throw nb::python_error();
  return same == 1;
}

// Whether it is a number that a kernel may have for a constant.
bool constant_of(const CallerData& c, PyObject* x, double& number) {
  if (is_tensor(x) || x == Py_None) return false;
  if (PyUnicode_Check(x)) {
    PyErr_SetString(PyExc_ValueError, "expected a number");
    throw nb::python_error();
  }
  number = real_of(x, c.name.c_str());
  return true;
}

// What the kernel gets; false where the op's reference runs: for other dtypes, options that the
// kernel does not know, operands that are left out, tensors in the place of constants. `own` keeps
// what was made on the way.
bool elementwise_args(const CallerData& c, const Values& v, ElementwiseArgs& args,
                      nb::object* own) {
  const int operands = c.elementwise->operands, most = operands + c.elementwise->constants;
  if (several_devices && is_absent(*c.kernel, results_device())) return false;
  for (int i = c.taken; i < v.n; ++i)
    if (!is_default(c.parameters[i], v.at[i])) return false;
  if (!applies(c, v)) return false;
  PyObject* const* values = v.at;
  int n = c.taken;
  nb::object mapped;
  if (c.arguments) {
    mapped = call_by_position(c.arguments, v);
    if (!PyTuple_Check(mapped.ptr()) || PyTuple_GET_SIZE(mapped.ptr()) < operands ||
        PyTuple_GET_SIZE(mapped.ptr()) > most)
      raise("ArgumentError", c.name.c_str(), "expected operands and constants of its kernel");
    values = PySequence_Fast_ITEMS(mapped.ptr());
    n = static_cast<int>(PyTuple_GET_SIZE(mapped.ptr()));
  }
  for (int i = 0; i < operands; ++i) {
    if (values[i] == Py_None && !c.arguments && c.parameters[i].fallback == Py_None) return false;
    args.operands[i] = operand_of(c, values[i], own[i]);
    if (c.arguments && !own[i].is_valid()) own[i] = nb::borrow(values[i]);
  }
  for (int i = operands; i < most; ++i) {
    args.constants[i - operands] = 0;
    if (i < n && !constant_of(c, values[i], args.constants[i - operands])) return false;
  }
  return accepts_operands(c, args);
}

}  // namespace

nb::object run_elementwise(const CallerData& c, const Values& v, Array* given) {
  ElementwiseArgs args;
  nb::object own[3];
  if (!elementwise_args(c, v, args, own)) return {};
  Array made = call_elementwise(c, args, given);
  if (given) return nb::none();
  return checked(new_tensor(new_array(std::move(made))));
}

namespace {

// Tells a capture whose body runs, so that what it refuses to read is named after the op.
struct Named {
  Capture* capture;
  const char* before = nullptr;
  explicit Named(const CallerData& c) : capture(recording()) {
    if (capture) before = std::exchange(capture->op, c.name.c_str());
  }
  ~Named() {
    if (capture) capture->op = before;
  }
};

}  // namespace

static nb::object run_cached(const CallerData& c, const Values& v, CachedCall& cached) {
  if (cached.recipe) {
    nb::object made = repeat(c, v, *cached.recipe);
    if (made.is_valid()) return made;
    if (c.check) call_by_position(c.check, v);
    return run(c, v);
  }
  if (c.run == Run::elementwise)
    if (nb::object made = run_elementwise(c, v, nullptr); made.is_valid()) return made;
  Trace trace(v, cached.signature);
  nb::object made = c.run == Run::kernel        ? run_kernel(c, v, &trace)
                    : c.run == Run::view        ? run_view(c, v)
                    : c.run == Run::elementwise ? call_by_signature(c, c.reference, v)
                                                : run_function(c, v);
  if (c.run == Run::view) trace.views(c, v.at[0], made.ptr());
  trace.keep(c, cached.signature, made.ptr());
  return made;
}

nb::object run(const CallerData& c, const Values& v, CachedCall* cached) {
  if (cached) return run_cached(c, v, *cached);
  const Named named(c);
  switch (c.run) {
    case Run::elementwise: {
      nb::object made = run_elementwise(c, v, nullptr);
      return made.is_valid() ? made : call_by_signature(c, c.reference, v);
    }
    case Run::kernel:
      return c.structured ? run_structured(c, v) : run_kernel(c, v, nullptr);
    case Run::view:
      return run_view(c, v);
    default:
      return c.structured ? run_structured(c, v) : run_function(c, v);
  }
}

}  // namespace tl::bind
