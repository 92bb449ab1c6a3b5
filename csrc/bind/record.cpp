// Recording a call: what its gradient rule names is kept, in a node of the tape.
// autograd/record.py has the rules and says how a node is used.
#include "dispatch.h"

namespace tl::bind {
namespace {

nb::object attribute(PyObject* x, const char* name) {
  return nb::steal(PyObject_GetAttrString(x, name));
}

uint32_t mask_of(nb::handle places) {
  uint32_t mask = 0;
  for (nb::handle place : nb::borrow<nb::sequence>(places)) mask |= 1u << nb::cast<int>(place);
  return mask;
}

const SavePolicy& save_policy(CallerData& c) {
  SavePolicy& policy = c.rule;
  if (policy.rule) return policy;
  nb::object rule = attribute(c.op, "rule");
  if (!rule.is_valid()) throw nb::python_error();
  if (rule.is_none())
    raise("GradError", c.name.c_str(),
          "expected arguments without gradient, since the op has none; got one that requires it "
          "(use .detach())");
  int i = 0;
  policy.kept = 0;
  for (nb::handle kept : nb::borrow<nb::sequence>(rule.attr("kept")))
    policy.kept |= static_cast<uint32_t>(nb::cast<bool>(kept)) << i++;
  for (auto [place, users] : nb::borrow<nb::dict>(rule.attr("uses")))
    policy.uses.emplace_back(nb::cast<int>(place), mask_of(users));
  nb::object out_users = rule.attr("out_users");
  policy.any_out = out_users.is_none();
  if (!policy.any_out) policy.out_users = mask_of(out_users);
  policy.wants_out = nb::cast<bool>(rule.attr("wants_out"));
  policy.indices_only = nb::cast<bool>(rule.attr("indices_only"));
  policy.watches = nb::len(nb::handle(nb::object(rule.attr("copied")))) > 0;
  policy.rule = rule.release().ptr();
  return policy;
}

bool wants_gradient(PyObject* value) {
  if (is_tracked(value)) return true;
  if (!PyList_Check(value) && !PyTuple_Check(value)) return false;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(value); ++i)
    if (is_tracked(PySequence_Fast_GET_ITEM(value, i))) return true;
  return false;
}

bool any_wanted(PyObject* const* values, uint32_t places) {
  for (int i = 0; places; ++i, places >>= 1)
    if ((places & 1) && wants_gradient(values[i])) return true;
  return false;
}

bool is_number(PyObject* x) {
  return x == Py_None || PyFloat_CheckExact(x) || PyLong_CheckExact(x) || PyBool_Check(x) ||
         PyComplex_CheckExact(x);
}

void append(PyObject* list, PyObject* item) {  // takes over the reference
  int failed = item ? PyList_Append(list, item) : -1;
  Py_XDECREF(item);
  if (failed) throw nb::python_error();
}

// (array, node, output, version): what is kept of a tensor.
PyObject* saved_tuple(PyObject* array, PyObject* node, PyObject* index, const Array& a) {
  PyObject* made = PyTuple_New(4);
  if (!made) throw nb::python_error();
  PyTuple_SET_ITEM(made, 0, Py_NewRef(array));
  PyTuple_SET_ITEM(made, 1, Py_NewRef(node));
  PyTuple_SET_ITEM(made, 2, Py_NewRef(index));
  PyTuple_SET_ITEM(made, 3, PyLong_FromUnsignedLong(a.version()));
  return made;
}

// Adds the edge of an argument; gives what is kept of it.
PyObject* save_argument(PyObject* value, bool keep, PyObject* edges, PyObject* specs) {
  if (!is_tensor(value)) {
    append(edges, Py_NewRef(Py_None));
    append(specs, Py_NewRef(Py_None));
    return Py_NewRef(value);
  }
  TensorObject* t = as_tensor(value);
  const Array& array = *array_of(value);
  static PyObject* zero = PyLong_FromLong(0);
  if (!is_tracked(value)) {
    append(edges, Py_NewRef(Py_None));
    append(specs, Py_NewRef(Py_None));
    return keep ? saved_tuple(t->array, Py_None, zero, array) : new_spec(array);
  }
  append(edges, PyTuple_Pack(2, t->node, t->index));
  if (keep) {
    append(specs, Py_NewRef(t->array));
    return saved_tuple(t->array, t->node, t->index, array);
  }
  PyObject* spec = new_spec(array);
  append(specs, Py_XNewRef(spec));
  return spec;
}

PyObject* save_all(PyObject* values, bool keep, PyObject* edges, PyObject* specs) {
  nb::object fast = nb::steal(PySequence_Fast(values, "expected a sequence of tensors"));
  if (!fast.is_valid()) throw nb::python_error();
  nb::object saved = nb::steal(PyList_New(0));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(fast.ptr()); ++i)
    append(saved.ptr(), save_argument(PySequence_Fast_GET_ITEM(fast.ptr(), i), keep, edges, specs));
  return saved.release().ptr();
}

// The results that the rule gets, as kept tuples; a new list.
PyObject* save_results(const SavePolicy& policy, PyObject* const* outs, int count) {
  nb::object list = nb::steal(PyList_New(0));
  for (int i = 0; i < count; ++i) {
    if (!is_tensor(outs[i])) continue;
    const Array& array = *array_of(outs[i]);
    if (policy.indices_only && carries_gradient(array)) continue;
    nb::object index = nb::steal(PyLong_FromLong(i));
    append(list.ptr(), saved_tuple(as_tensor(outs[i])->array, Py_None, index.ptr(), array));
  }
  return list.release().ptr();
}

void describe_results(NodeObject* node, PyObject* const* outs, int count) {
  PyObject* specs = PyTuple_New(count);
  if (!specs) throw nb::python_error();
  for (int i = 0; i < count; ++i)
    PyTuple_SET_ITEM(specs, i,
                     is_tensor(outs[i]) ? new_spec(*array_of(outs[i])) : Py_NewRef(Py_None));
  Py_XSETREF(node->outputs, specs);
}

}  // namespace

bool is_tracked(PyObject* x) {
  if (!is_tensor(x)) return false;
  PyObject* node = as_tensor(x)->node;
  return node && node != Py_None;
}

bool is_hidden(PyObject* x) {
  PyObject* base = as_tensor(x)->base;
  return base && base != Py_None && is_tracked(base) && !is_tracked(x) &&
         carries_gradient(*array_of(x));
}

void record(CallerData& c, PyObject* const* values, PyObject* const* outs, int count) {
  const SavePolicy& policy = save_policy(c);
  const int n = static_cast<int>(c.parameters.size());
  auto* node = new_node(reinterpret_cast<PyTypeObject*>(node_type));
  if (!node) throw nb::python_error();
  nb::object owner = nb::steal(reinterpret_cast<PyObject*>(node));
  node->edges = PyList_New(0);
  node->specs = PyList_New(0);
  node->saved = PyList_New(n);
  node->op = Py_NewRef(c.op);
  node->count = count;
  if (!node->edges || !node->specs || !node->saved) throw nb::python_error();
  uint32_t kept = policy.kept;
  for (auto [place, users] : policy.uses)
    if (!any_wanted(values, users)) kept &= ~(1u << place);
  const int operands = c.elementwise ? c.elementwise->operands : n;
  bool keeps = false;
  for (int i = 0; i < n; ++i) {
    const Parameter::Kind kind = c.parameters[i].kind;
    const bool keep = kept >> i & 1;
    // A number that multiplies or divides is a tensor in torch's records.
    if (keep && kind) keeps = keeps || !is_number(values[i]) || operands == 2;
    PyObject* saved =
        kind == Parameter::tensor    ? save_argument(values[i], keep, node->edges, node->specs)
        : kind == Parameter::tensors ? save_all(values[i], keep, node->edges, node->specs)
                                     : Py_NewRef(values[i]);
    if (!saved) throw nb::python_error();
    PyList_SET_ITEM(node->saved, i, saved);
  }
  if (policy.wants_out && (policy.any_out || any_wanted(values, policy.out_users)))
    node->out = save_results(policy, outs, count);
  if (count > 1) describe_results(node, outs, count);
  node->keeps = keeps || node->out != nullptr;
  if (policy.watches) owner.attr("watch")();
  for (int i = 0; i < count; ++i) {
    if (!is_tensor(outs[i]) || !carries_gradient(*array_of(outs[i]))) continue;
    Py_XSETREF(as_tensor(outs[i])->node, Py_NewRef(owner.ptr()));
    Py_XSETREF(as_tensor(outs[i])->index, PyLong_FromLong(i));
  }
}

}  // namespace tl::bind
