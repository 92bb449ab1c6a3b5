// The Python objects whose fields native code reads: the base of Tensor, of tape nodes, and the
// mode of this thread. Plain structs, so that a call costs no attribute lookups.
#pragma once
#include "bind.h"

namespace tl::bind {

// tallow.tensor.Tensor adds methods. `node` made it, when it requires a gradient, as its result
// number `index`; `base` is the tensor whose memory a view shares, `views` are weak references to
// the views of it.
struct TensorObject {
  PyObject_HEAD PyObject *array, *node, *index, *base, *views;
};

// tallow.autograd.node.Node adds methods. Edges and what is kept are as autograd/record.py says.
struct NodeObject {
  PyObject_HEAD PyObject *edges, *specs, *outputs, *hooks, *op, *saved, *out;
  long long order;
  int count;
  char keeps;
};

// Shape and dtype of an argument whose elements backward does not need.
struct TensorSpecObject {
  PyObject_HEAD DType dtype;
  int8_t ndim;
  int64_t shape[kMaxDims];
};

// What the thread is in: grad mode, inference mode, the cast of amp.autocast (or null).
struct Mode {
  bool enabled = true, inference = false, anomaly = false;
  PyObject* autocast = nullptr;
};
Mode& mode();

extern PyTypeObject *tensor_base, *node_base;
extern PyTypeObject* array_type;   // of tallow._native.Array
extern PyTypeObject* tensor_type;  // of plain tensors

inline bool is_tensor(PyObject* x) {
  return Py_TYPE(x) == tensor_type || PyObject_TypeCheck(x, tensor_base);
}
inline TensorObject* as_tensor(PyObject* x) { return reinterpret_cast<TensorObject*>(x); }
inline bool is_array(PyObject* x) { return Py_TYPE(x) == array_type; }
inline Array* as_array(PyObject* x) { return nb::inst_ptr<Array>(x); }
// The array of a tensor; raises when it has none (an instance made without `__new__`).
Array* array_of(PyObject* tensor);

// New references.
PyObject* new_array(Array&& array);
PyObject* new_tensor(PyObject* array);  // takes over the reference; null passes through
PyObject* new_spec(const Array& array);
NodeObject* new_node(PyTypeObject* type);

// Notes that `view` shares the memory of `x`; `part`: as one of several results of an op.
void link_view(PyObject* view, PyObject* x, bool part);

void bind_objects(nb::module_& m);
void bind_dispatch(nb::module_& m);

}  // namespace tl::bind
