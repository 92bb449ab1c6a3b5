// tallow._native.Size: the lengths of axes, a tuple that counts its elements and stays one when
// cut. A C type: in Python, taking one element would cost ten times as much.
#include "bind.h"

namespace tl::bind {
namespace {

PyTypeObject* type_of_size();

// A tuple as a Size; takes the reference over. Every item must be an integer.
PyObject* as_size(PyObject* items) {
  if (!items || !PyTuple_CheckExact(items)) return items;
  Py_ssize_t n = PyTuple_GET_SIZE(items);
  PyTypeObject* type = type_of_size();
  PyObject* made = type->tp_alloc(type, n);
  for (Py_ssize_t i = 0; made && i < n; ++i) {
    PyObject* item = PyTuple_GET_ITEM(items, i);
    PyObject* length = PyLong_CheckExact(item) ? Py_NewRef(item) : PyNumber_Index(item);
    if (!length) {
      Py_CLEAR(made);
      PyErr_Format(PyExc_TypeError, "Size: expected integers, got %s as number %zd",
                   Py_TYPE(item)->tp_name, i);
    } else {
      PyTuple_SET_ITEM(made, i, length);
    }
  }
  Py_DECREF(items);
  return made;
}

PyObject* new_size(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  return as_size(PyTuple_Type.tp_new(&PyTuple_Type, args, kwargs));
}

// Both `size + tuple` and `tuple + size`.
PyObject* add(PyObject* a, PyObject* b) {
  if (!PyTuple_Check(a) || !PyTuple_Check(b)) Py_RETURN_NOTIMPLEMENTED;
  PyObject* left = PySequence_Tuple(a);
  if (!left) return nullptr;
  // Not a subclass any more, or the empty tuple: tuple's own concatenation may give back `b`.
  PyObject* right = PyTuple_GetSlice(b, 0, PyTuple_GET_SIZE(b));
  PyObject* first = PyTuple_GetSlice(left, 0, PyTuple_GET_SIZE(left));
  Py_DECREF(left);
  PyObject* both = first && right ? PyTuple_Type.tp_as_sequence->sq_concat(first, right) : nullptr;
  Py_XDECREF(first);
  Py_XDECREF(right);
  return as_size(both);
}

PyObject* repeat(PyObject* x, Py_ssize_t times) {
  PyObject* plain = PyTuple_GetSlice(x, 0, PyTuple_GET_SIZE(x));
  if (!plain) return nullptr;
  PyObject* made = PyTuple_Type.tp_as_sequence->sq_repeat(plain, times);
  Py_DECREF(plain);
  return as_size(made);
}

PyObject* subscript(PyObject* x, PyObject* key) {
  PyObject* found = PyTuple_Type.tp_as_mapping->mp_subscript(x, key);
  return PySlice_Check(key) ? as_size(found) : found;
}

PyObject* text(PyObject* x) {
  PyObject* list = PySequence_List(x);
  if (!list) return nullptr;
  PyObject* made = PyUnicode_FromFormat("torch.Size(%R)", list);
  Py_DECREF(list);
  return made;
}

// As in our messages: like a tuple.
PyObject* format(PyObject* x, PyObject*) {
  PyObject* plain = PyTuple_GetSlice(x, 0, PyTuple_GET_SIZE(x));
  if (!plain) return nullptr;
  PyObject* made = PyObject_Str(plain);
  Py_DECREF(plain);
  return made;
}

PyObject* numel(PyObject* x, PyObject*) {
  PyObject* count = PyLong_FromLong(1);
  for (Py_ssize_t i = 0; count && i < PyTuple_GET_SIZE(x); ++i) {
    PyObject* next = PyNumber_Multiply(count, PyTuple_GET_ITEM(x, i));
    Py_DECREF(count);
    count = next;
  }
  return count;
}

PyObject* reduce(PyObject* x, PyObject*) {
  return Py_BuildValue("O(N)", Py_TYPE(x), PyTuple_GetSlice(x, 0, PyTuple_GET_SIZE(x)));
}

PyMethodDef kMethods[] = {
    {"numel", numel, METH_NOARGS, "The number of elements of a tensor of this shape."},
    {"__format__", format, METH_O, nullptr},
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyTypeObject* type_of_size() {
  static PyNumberMethods number{};
  static PySequenceMethods sequence{};
  static PyMappingMethods mapping{};
  static PyTypeObject type = [] {
    const PyVarObject heads[] = {PyVarObject_HEAD_INIT(nullptr, 0)};
    PyTypeObject made{};
    made.ob_base = heads[0];
    number.nb_add = add;
    sequence.sq_repeat = repeat;
    mapping.mp_subscript = subscript;
    made.tp_name = "tallow._native.Size";
    made.tp_doc = "The lengths of axes: a tuple of integers that counts its elements.";
    made.tp_flags = Py_TPFLAGS_DEFAULT;
    made.tp_base = &PyTuple_Type;
    made.tp_as_number = &number;
    made.tp_as_sequence = &sequence;
    made.tp_as_mapping = &mapping;
    made.tp_methods = kMethods;
    made.tp_new = new_size;
    made.tp_repr = text;
    return made;
  }();
  return &type;
}

}  // namespace

nb::object size_from(const int64_t* lengths, int n) {
  PyTypeObject* type = type_of_size();
  PyObject* made = type->tp_alloc(type, n);
  if (!made) throw nb::python_error();
  for (int i = 0; i < n; ++i) PyTuple_SET_ITEM(made, i, PyLong_FromLongLong(lengths[i]));
  return nb::steal(made);
}

void bind_size(nb::module_& m) {
  PyTypeObject* type = type_of_size();
  if (PyType_Ready(type) < 0) throw nb::python_error();
  m.attr("Size") = nb::borrow(reinterpret_cast<PyObject*>(type));
}

}  // namespace tl::bind
