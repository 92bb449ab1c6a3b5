// Signatures of calls, and the repetition of what is known of one; see call_cache.h.
#include "call_cache.h"

#include <cstring>
#include <utility>

#include "../core/plan/capture.h"
#include "../core/watch.h"

namespace tl::bind {

uint64_t Recipe::epoch;
static int64_t repeated;  // calls, for tests

// --- signatures ---------------------------------------------------------------------------------

namespace {
enum Tag : uint64_t { kTensor = 1, kObject, kReal, kInteger, kSequence };

// Objects that nobody changes: a dtype, an order of axes, the weights of a resampled axis.
bool is_constant(PyObject* x) {
  const char* name = Py_TYPE(x)->tp_name;
  return strcmp(name, "DType") == 0 || strcmp(name, "WeightTable") == 0 ||
         strcmp(name, "memory_format") == 0;
}
}  // namespace

bool holds_no_tensor(PyObject* x) {
  return x == Py_None || x == missing || x == Py_Ellipsis || PyBool_Check(x) ||
         PyLong_CheckExact(x) || PyFloat_CheckExact(x) || PyComplex_CheckExact(x) ||
         PyUnicode_CheckExact(x) || PyType_Check(x) || is_constant(x);
}

bool Signature::add_object(PyObject* x) {
  if (holds_ == kMostHeld) return false;
  held_[holds_++] = x;
  return add_word(kObject) && add_word(reinterpret_cast<uint64_t>(x));
}

bool Signature::add_tensor(PyObject* x) {
  if (!as_tensor(x)->array) return false;
  const Array& a = *as_array(as_tensor(x)->array);
  if (a.device().type != Device::cpu || n_ + 1 + 2 * a.ndim > kMostWords) return false;
  uint64_t same = 0;  // a body may ask whether two arguments are one tensor
  while (static_cast<int>(same) < count_ && tensors_[same] != x) ++same;
  tensors_[count_++] = x;  // each takes a word at least
  words_[n_++] = kTensor | static_cast<uint64_t>(a.dtype) << 8 |
                 static_cast<uint64_t>(a.ndim) << 16 |
                 static_cast<uint64_t>(as_tensor(x)->node != Py_None) << 24 | same << 32;
  for (int i = 0; i < a.ndim; ++i) {
    words_[n_++] = static_cast<uint64_t>(a.shape[i]);
    words_[n_++] = static_cast<uint64_t>(a.strides[i]);
  }
  return true;
}

bool Signature::add(PyObject* x, int depth) {
  if (reinterpret_cast<PyObject*>(Py_TYPE(x)) == direct_type) return add_tensor(x);
  if (x == Py_None || x == Py_True || x == Py_False)
    return add_word(kObject) && add_word(reinterpret_cast<uint64_t>(x));
  if (PyLong_CheckExact(x)) {
    int overflow;
    const long long value = PyLong_AsLongLongAndOverflow(x, &overflow);
    return !overflow && add_word(kInteger) && add_word(static_cast<uint64_t>(value));
  }
  if (PyFloat_CheckExact(x)) {
    const double value = PyFloat_AS_DOUBLE(x);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return add_word(kReal) && add_word(bits);
  }
  if (PyUnicode_CheckExact(x) || x == missing || is_constant(x)) return add_object(x);
  if (depth == 2 || !(PyTuple_Check(x) || PyList_CheckExact(x))) return false;
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(x);
  if (!add_word(kSequence | static_cast<uint64_t>(n) << 8) ||
      !add_word(reinterpret_cast<uint64_t>(Py_TYPE(x))))
    return false;
  for (Py_ssize_t i = 0; i < n; ++i)
    if (!add(PySequence_Fast_GET_ITEM(x, i), depth + 1)) return false;
  return true;
}

bool Signature::read(const CallerData&, const Values& v) {
  n_ = holds_ = count_ = 0;
  const Mode& m = mode();
  if (!add_word(m.enabled + 2u * m.inference)) return false;
  for (int i = 0; i < v.n; ++i)
    if (!add(v.at[i], 0)) return false;
  return true;
}

uint64_t Signature::hash() const {
  uint64_t h = size();
  for (int i = 0; i < n_; ++i) h = (h ^ words_[i]) * 0x9E3779B97F4A7C15u, h ^= h >> 29;
  return h;
}

// --- recipes ------------------------------------------------------------------------------------

CallCache* new_cache() { return new CallCache; }
void drop_cache(CallCache* cache) { delete cache; }
void forget_calls() { ++Recipe::epoch; }

bool CachedCall::find(const CallerData& c, const Values& v) {
  const Mode& m = mode();
  if (c.run == Run::elementwise && m.enabled) return false;  // recorded ones are kernels mostly
  if (default_device() != Device::cpu || m.autocast || m.anomaly || watching() || recording())
    return false;
  if (!signature.read(c, v)) return false;
  const std::shared_ptr<Recipe>* known = c.cache->find(signature);
  if (!known) return c.cache->is_second(signature);
  recipe = *known;
  return recipe->usable;
}

namespace {

// The values of a repetition by slot: borrowed, but what is made on the way.
struct Slots {
  PyObject* at[kFirstStep + kMostSteps];
  nb::object own[kMostSteps];  // of the steps
};

PyObject* as_view(const Array& from, View view) {
  view.data = from.data + reinterpret_cast<intptr_t>(view.data);
  return new_tensor(new_array(from.with(view)));
}

PyObject* value_of(const Operand& x, const Slots& slots, std::vector<nb::object>& own) {
  if (x.slot >= 0) {
    PyObject* whole = slots.at[x.slot];
    PyObject* one = x.part < 0 ? whole : PySequence_Fast_GET_ITEM(whole, x.part);
    if (!x.is_view) return one;
    own.push_back(checked(as_view(*array_of(one), x.view)));
    return own.back().ptr();
  }
  if (!x.sequence) return x.constant.ptr();
  const auto n = static_cast<Py_ssize_t>(x.items.size());
  const bool list = x.sequence == &PyList_Type;
  nb::object made = nb::steal(list ? PyList_New(n) : PyTuple_New(n));
  if (!made.is_valid()) throw nb::python_error();
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* item = Py_NewRef(value_of(x.items[static_cast<size_t>(i)], slots, own));
    list ? PyList_SET_ITEM(made.ptr(), i, item) : PyTuple_SET_ITEM(made.ptr(), i, item);
  }
  own.push_back(std::move(made));
  return own.back().ptr();
}

void make_outputs(const CallerData& c, const Recipe& recipe, Results& results) {
  const auto n = static_cast<Py_ssize_t>(recipe.outputs.size());
  if (recipe.several) results.all = checked(PyTuple_New(n));
  for (const View& wanted : recipe.outputs) {
    Array out = empty(wanted.dtype, wanted.shape, wanted.ndim, c.name.c_str());
    View view = wanted;
    view.data = out.data;
    nb::object one = checked(new_tensor(new_array(out.with(view))));
    if (recipe.several)
      PyTuple_SET_ITEM(results.all.ptr(), results.count, Py_NewRef(one.ptr()));
    else
      results.all = one;
    results.each[results.count++] = std::move(one);
  }
}

// What `reshape` gives where it cannot be a view.
nb::object copy_of(const CallerData& c, const View& wanted, const Array& x) {
  const char* where = c.name.c_str();
  Array out = empty(wanted.dtype, wanted.shape, wanted.ndim, where);
  View view = x;
  view.data = out.data;
  set_contiguous_strides(view);
  Array target = out.with(view);
  copy_into(target, x, where);
  return checked(new_tensor(new_array(std::move(out))));
}

nb::object views_of(const CallerData& c, const Recipe& recipe, PyObject* x) {
  const Array& from = *array_of(x);
  if (recipe.copy) return copy_of(c, recipe.outputs[0], from);
  if (!recipe.several) return checked(as_view(from, recipe.outputs[0]));
  const auto n = static_cast<Py_ssize_t>(recipe.outputs.size());
  nb::object all = checked(PyTuple_New(n));
  for (Py_ssize_t i = 0; i < n; ++i)
    PyTuple_SET_ITEM(
        all.ptr(), i,
        checked(as_view(from, recipe.outputs[static_cast<size_t>(i)])).release().ptr());
  return all;
}

nb::object follow(const CallerData& c, const Values& v, const Recipe& recipe) {
  if (recipe.view) return views_of(c, recipe, v.at[0]);
  Slots slots;
  std::vector<nb::object> own;
  Results results;
  make_outputs(c, recipe, results);
  for (int i = 0; i < v.n; ++i) slots.at[i] = v.at[i];
  for (int i = 0; i < results.count; ++i) slots.at[kFirstOutput + i] = results.each[i].ptr();
  PyObject* args[2 * kMaxParameters];
  std::vector<int64_t> sizes;
  int k = 0;
  for (const Step& step : recipe.steps) {
    for (size_t i = 0; i < step.args.size(); ++i) args[i] = value_of(step.args[i], slots, own);
    slots.own[k] = checked(dispatch(*step.caller, step.self.ptr(), args,
                                    static_cast<size_t>(step.given), step.kwnames.ptr()));
    slots.at[kFirstStep + k] = slots.own[k].ptr();
    sizes.clear();
    if (!sizes_of(slots.own[k++].ptr(), sizes) || sizes != step.sizes) return {};
  }
  if (!recipe.kernel) return nb::borrow(value_of(recipe.result, slots, own));
  for (size_t i = 0; i < recipe.args.size(); ++i) args[i] = value_of(recipe.args[i], slots, own);
  call_kernel(*c.kernel, args, static_cast<int>(recipe.args.size()), c.name.c_str());
  return named(c, results);
}

}  // namespace

nb::object repeat(const CallerData& c, const Values& v, const Recipe& recipe) {
  try {
    ++repeated;
    return follow(c, v, recipe);
  } catch (nb::python_error& error) {
    if (!error.matches(PyExc_Exception)) throw;  // Ctrl-C
  }
  return {};
}

void bind_call_cache(nb::module_& m) {
  m.def("forget_calls", &forget_calls);
  m.def("refuse_trace", &refuse_trace);
  m.def("repeated_calls", [] { return repeated; });
}

}  // namespace tl::bind
