// The types behind Tensor, Node and MODE; see objects.h.
#include "objects.h"

#include <structmember.h>

#include <atomic>
#include <cstddef>

namespace tl::bind {

PyTypeObject *tensor_base, *node_base, *array_type, *tensor_type;

namespace {

PyTypeObject* spec_type;
std::atomic<long long> next_order{1};

// The fields of a struct that hold objects, as the collector and the destructor need them.
template <class T>
struct Fields;
template <>
struct Fields<TensorObject> {
  template <class F>
  static int each(TensorObject* o, F f) {
    for (PyObject** field : {&o->array, &o->node, &o->index, &o->base, &o->views})
      if (int stop = f(*field)) return stop;
    return 0;
  }
};
template <>
struct Fields<NodeObject> {
  template <class F>
  static int each(NodeObject* o, F f) {
    for (PyObject** field :
         {&o->edges, &o->specs, &o->outputs, &o->hooks, &o->op, &o->saved, &o->out})
      if (int stop = f(*field)) return stop;
    return 0;
  }
};

template <class T>
int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return Fields<T>::each(reinterpret_cast<T*>(self), [&](PyObject* field) {
    Py_VISIT(field);
    return 0;
  });
}

template <class T>
int clear(PyObject* self) {
  return Fields<T>::each(reinterpret_cast<T*>(self), [](PyObject*& field) {
    Py_CLEAR(field);
    return 0;
  });
}

template <class T>
void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  clear<T>(self);
  type->tp_free(self);
  Py_DECREF(type);
}

#define OBJECT(T, name, field) {name, T_OBJECT, offsetof(T, field), 0, nullptr}
#define REQUIRED(T, name, field) {name, T_OBJECT_EX, offsetof(T, field), 0, nullptr}
PyMemberDef tensor_members[] = {
    REQUIRED(TensorObject, "_array", array), REQUIRED(TensorObject, "_node", node),
    REQUIRED(TensorObject, "_index", index), REQUIRED(TensorObject, "_base", base),
    REQUIRED(TensorObject, "_views", views), {}};
PyMemberDef node_members[] = {REQUIRED(NodeObject, "edges", edges),
                              REQUIRED(NodeObject, "specs", specs),
                              REQUIRED(NodeObject, "outputs", outputs),
                              OBJECT(NodeObject, "hooks", hooks),
                              REQUIRED(NodeObject, "op", op),
                              OBJECT(NodeObject, "saved", saved),
                              OBJECT(NodeObject, "out", out),
                              {"order", T_LONGLONG, offsetof(NodeObject, order), READONLY, nullptr},
                              {"count", T_INT, offsetof(NodeObject, count), 0, nullptr},
                              {"keeps", T_BOOL, offsetof(NodeObject, keeps), 0, nullptr},
                              {}};
#undef OBJECT
#undef REQUIRED

PyObject* node_new(PyTypeObject* type, PyObject*, PyObject*) {
  return reinterpret_cast<PyObject*>(new_node(type));
}

// --- what a tensor is asked most -----------------------------------------------------------------

// A getter that raises what its function throws.
template <PyObject* (*kGet)(const Array&)>
PyObject* get_fact(PyObject* self, void*) {
  try {
    return kGet(*array_of(self));
  } catch (nb::python_error& error) {
    error.restore();
    return nullptr;
  }
}
PyObject* shape_of(const Array& x) { return size_from(x.shape, x.ndim).release().ptr(); }
PyObject* ndim_of(const Array& x) { return PyLong_FromLong(x.ndim); }
PyObject* dtype_object(DType dtype) {
  static PyObject* table =
      nb::object(nb::module_::import_("tallow.dtype").attr("DTYPES")).release().ptr();
  return Py_NewRef(PyTuple_GET_ITEM(table, static_cast<Py_ssize_t>(dtype)));
}
PyObject* dtype_of(const Array& x) { return dtype_object(x.dtype); }
PyGetSetDef tensor_facts[] = {
    {"shape", get_fact<shape_of>, nullptr, "The length of each axis.", nullptr},
    {"ndim", get_fact<ndim_of>, nullptr, "The number of axes.", nullptr},
    {"dtype", get_fact<dtype_of>, nullptr, "The element type.", nullptr},
    {}};
PyGetSetDef no_facts[] = {{}};

template <class T>
PyTypeObject* make_type(const char* name, PyMemberDef* members, PyGetSetDef* facts, newfunc make) {
  PyType_Slot slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(traverse<T>)},
                         {Py_tp_clear, reinterpret_cast<void*>(clear<T>)},
                         {Py_tp_dealloc, reinterpret_cast<void*>(dealloc<T>)},
                         {Py_tp_members, members},
                         {Py_tp_getset, facts},
                         {make ? Py_tp_new : 0, reinterpret_cast<void*>(make)},
                         {0, nullptr}};
  PyType_Spec spec{name, static_cast<int>(sizeof(T)), 0,
                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
  auto* type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  if (!type) throw nb::python_error();
  return type;
}

// --- TensorSpec ---------------------------------------------------------------------------------

TensorSpecObject* as_spec(PyObject* x) { return reinterpret_cast<TensorSpecObject*>(x); }

PyObject* spec_shape(PyObject* self, void*) {
  TensorSpecObject* s = as_spec(self);
  PyObject* out = PyTuple_New(s->ndim);
  for (int i = 0; out && i < s->ndim; ++i)
    PyTuple_SET_ITEM(out, i, PyLong_FromLongLong(s->shape[i]));
  return out;
}
PyObject* spec_code(PyObject* self, void*) {
  return PyLong_FromLong(static_cast<long>(as_spec(self)->dtype));
}
PyObject* spec_dtype(PyObject* self, void*) { return dtype_object(as_spec(self)->dtype); }
PyObject* spec_ndim(PyObject* self, void*) { return PyLong_FromLong(as_spec(self)->ndim); }
PyObject* spec_numel(PyObject* self, PyObject*) {
  long long n = 1;
  for (int i = 0; i < as_spec(self)->ndim; ++i) n *= as_spec(self)->shape[i];
  return PyLong_FromLongLong(n);
}
PyObject* spec_new(PyTypeObject*, PyObject* args, PyObject*) {
  if (PyTuple_GET_SIZE(args) != 1 || !is_array(PyTuple_GET_ITEM(args, 0)))
    return PyErr_SetString(PyExc_TypeError, "TensorSpec: expected an Array"), nullptr;
  return new_spec(*as_array(PyTuple_GET_ITEM(args, 0)));
}
void spec_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}
PyGetSetDef spec_fields[] = {{"shape", spec_shape, nullptr, nullptr, nullptr},
                             {"code", spec_code, nullptr, nullptr, nullptr},
                             {"dtype", spec_dtype, nullptr, nullptr, nullptr},
                             {"ndim", spec_ndim, nullptr, nullptr, nullptr},
                             {}};
PyMethodDef spec_methods[] = {{"numel", spec_numel, METH_NOARGS, nullptr}, {}};
PyType_Slot spec_slots[] = {{Py_tp_new, reinterpret_cast<void*>(spec_new)},
                            {Py_tp_dealloc, reinterpret_cast<void*>(spec_dealloc)},
                            {Py_tp_getset, spec_fields},
                            {Py_tp_methods, spec_methods},
                            {0, nullptr}};
PyType_Spec spec_spec{"tallow._native.TensorSpec", sizeof(TensorSpecObject), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, spec_slots};

// --- Mode ---------------------------------------------------------------------------------------

template <bool Mode::* kFlag>
PyObject* get_flag(PyObject*, void*) {
  return PyBool_FromLong(mode().*kFlag);
}
template <bool Mode::* kFlag>
int set_flag(PyObject*, PyObject* value, void*) {
  int on = value ? PyObject_IsTrue(value) : -1;
  if (on < 0) return -1;
  mode().*kFlag = on;
  return 0;
}
int set_inference_flag(PyObject* self, PyObject* value, void* closure) {
  if (set_flag<&Mode::inference>(self, value, closure) < 0) return -1;
  set_inference(mode().inference);  // what is made in it is marked
  return 0;
}
PyObject* get_autocast(PyObject*, void*) {
  return Py_NewRef(mode().autocast ? mode().autocast : Py_None);
}
int set_autocast(PyObject*, PyObject* value, void*) {
  PyObject* before = mode().autocast;
  mode().autocast = value && value != Py_None ? Py_NewRef(value) : nullptr;
  Py_XDECREF(before);
  return 0;
}
PyGetSetDef mode_fields[] = {
    {"enabled", get_flag<&Mode::enabled>, set_flag<&Mode::enabled>, nullptr, nullptr},
    {"inference", get_flag<&Mode::inference>, set_inference_flag, nullptr, nullptr},
    {"anomaly", get_flag<&Mode::anomaly>, set_flag<&Mode::anomaly>, nullptr, nullptr},
    {"autocast", get_autocast, set_autocast, nullptr, nullptr},
    {}};
PyType_Slot mode_slots[] = {{Py_tp_getset, mode_fields}, {0, nullptr}};
PyType_Spec mode_spec{"tallow._native.Mode", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT, mode_slots};

void append(PyObject* list, PyObject* item) {
  if (PyList_Append(list, item) < 0) throw nb::python_error();
}

// Adds a weak reference; those that are dead go at powers of two, amortised over the additions.
void add_view(TensorObject* base, PyObject* view) {
  nb::object reference = nb::steal(PyWeakref_NewRef(view, nullptr));
  if (!reference.is_valid()) throw nb::python_error();
  if (!base->views || !PyList_Check(base->views)) Py_XSETREF(base->views, PyList_New(0));
  if (!base->views) throw nb::python_error();
  append(base->views, reference.ptr());
  const Py_ssize_t n = PyList_GET_SIZE(base->views);
  if (n < 32 || (n & (n - 1))) return;
  nb::object kept = nb::steal(PyList_New(0));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* one = PyList_GET_ITEM(base->views, i);
    if (PyWeakref_GET_OBJECT(one) != Py_None) append(kept.ptr(), one);
  }
  Py_SETREF(base->views, kept.release().ptr());
}

}  // namespace

Mode& mode() {
  static thread_local Mode current;
  return current;
}

Array* array_of(PyObject* tensor) {
  PyObject* array = as_tensor(tensor)->array;
  if (array && is_array(array)) return as_array(array);
  // Asked for as an attribute: a class may draw the elements now (nn.deferred), or say why there
  // are none (nn.UninitializedParameter).
  nb::object found = nb::steal(PyObject_GetAttrString(tensor, "_array"));
  if (!found.is_valid()) throw nb::python_error();
  array = as_tensor(tensor)->array;
  if (array && is_array(array)) return as_array(array);
  raise("ArgumentError", "tensor", "expected one with an array, got one without");
}

PyObject* new_array(Array&& array) {
  PyObject* made =
      nb::inst_alloc(nb::handle(reinterpret_cast<PyObject*>(array_type))).release().ptr();
  new (nb::inst_ptr<Array>(made)) Array(std::move(array));
  nb::inst_mark_ready(made);
  return made;
}

PyObject* new_tensor(PyObject* array) {
  if (!array) return nullptr;
  auto* made = as_tensor(tensor_type->tp_alloc(tensor_type, 0));
  if (!made) return Py_DECREF(array), nullptr;
  made->array = array;
  made->node = Py_NewRef(Py_None);
  made->base = Py_NewRef(Py_None);
  made->views = Py_NewRef(Py_None);
  return reinterpret_cast<PyObject*>(made);
}

PyObject* new_spec(const Array& array) {
  TensorSpecObject* made = as_spec(spec_type->tp_alloc(spec_type, 0));
  if (!made) return nullptr;
  made->dtype = array.dtype;
  made->ndim = array.ndim;
  for (int i = 0; i < array.ndim; ++i) made->shape[i] = array.shape[i];
  return reinterpret_cast<PyObject*>(made);
}

NodeObject* new_node(PyTypeObject* type) {
  auto* made = reinterpret_cast<NodeObject*>(type->tp_alloc(type, 0));
  if (!made) return nullptr;
  made->order = next_order.fetch_add(1, std::memory_order_relaxed);
  made->outputs = PyTuple_New(0);
  return made;
}

void link_view(PyObject* view, PyObject* x, bool part) {
  TensorObject *v = as_tensor(view), *base = as_tensor(x);
  const bool inner = base->base && is_tensor(base->base);
  PyObject* root = inner ? base->base : x;
  if (v->base != root) {
    if (inner) Py_XSETREF(v->views, Py_XNewRef(base->views));
    Py_XSETREF(v->base, Py_NewRef(root));
    add_view(as_tensor(root), view);
  }
  if (part) Py_XSETREF(v->views, PyTuple_New(0));
}
void bind_objects(nb::module_& m) {
  array_type = reinterpret_cast<PyTypeObject*>(nb::type<Array>().ptr());
  tensor_base =
      make_type<TensorObject>("tallow._native.TensorBase", tensor_members, tensor_facts, nullptr);
  node_base = make_type<NodeObject>("tallow._native.NodeBase", node_members, no_facts, node_new);
  tensor_type = tensor_base;
  spec_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec_spec));
  PyObject* mode_type = PyType_FromSpec(&mode_spec);
  if (!spec_type || !mode_type) throw nb::python_error();
  m.attr("TensorBase") = nb::handle(reinterpret_cast<PyObject*>(tensor_base));
  m.attr("NodeBase") = nb::handle(reinterpret_cast<PyObject*>(node_base));
  m.attr("TensorSpec") = nb::handle(reinterpret_cast<PyObject*>(spec_type));
  m.attr("Mode") = nb::handle(mode_type);
  m.attr("MODE") = nb::steal(PyObject_CallNoArgs(mode_type));
  Py_DECREF(mode_type);
  m.def(
      "link_view",
      [](nb::handle view, nb::handle x, bool part) {
        if (!is_tensor(view.ptr()) || !is_tensor(x.ptr())) throw nb::type_error("expected tensors");
        link_view(view.ptr(), x.ptr(), part);
      },
      nb::arg(), nb::arg(), nb::arg("part") = false);
  m.def("wrap", [](nb::handle array) {
    if (!is_array(array.ptr())) throw nb::type_error("wrap: expected an Array");
    return nb::steal(new_tensor(Py_NewRef(array.ptr())));
  });
  // A number between the `order` of the nodes before and after the call.
  m.def("next_order", [] { return next_order.fetch_add(1, std::memory_order_relaxed); });
  // Which class plain tensors have.
  m.def("set_tensor_type", [](nb::handle type) {
    auto* given = reinterpret_cast<PyTypeObject*>(type.ptr());
    if (!PyType_Check(type.ptr()) || !PyType_IsSubtype(given, tensor_base))
      throw nb::type_error("expected a subclass of TensorBase");
    Py_INCREF(type.ptr());
    tensor_type = given;
  });
}

}  // namespace tl::bind
