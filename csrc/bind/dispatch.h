// The one path of a call: arguments to parameters, classes that take over, check, results, kernel,
// record. A Caller is what users call; it is made from a tallow.definition.Op.
#pragma once
#include <vector>

#include "../core/contract.h"
#include "../core/elementwise_op.h"
#include "objects.h"

namespace tl::bind {

constexpr int kMaxParameters = 32;

struct Parameter {
  PyObject* name;      // interned
  PyObject* fallback;  // the default, or null
  enum Kind : uint8_t { other, tensor, tensors } kind;
  bool keyword, variadic;
};

class CallCache;
struct CachedCall;

enum class Run : uint8_t { function, kernel, view, elementwise };
enum CallerFlags : uint8_t { kOperator = 1, kSwapped = 2, kInPlace = 4 };

// What a gradient rule needs kept of a call: bit i stands for parameter i.
struct SavePolicy {
  PyObject* rule = nullptr;  // tallow.autograd.record.GradientRule; null: not asked for yet
  uint32_t kept = 0;
  std::vector<std::pair<int, uint32_t>> uses;  // parameter, the parameters whose gradient uses it
  bool wants_out = false, any_out = true, indices_only = false, watches = false;
  uint32_t out_users = 0;
};

struct CallerData {
  PyObject* op = nullptr;
  std::string name;
  std::vector<Parameter> parameters;
  int plain = 0;      // parameters that may come by position
  int variadic = -1;  // which one takes all further ones
  int first = -1;     // the first that takes tensors
  int device = -1;    // the one called `device`
  PyObject* keyword_names = nullptr;
  Run run = Run::function;
  uint8_t flags = 0;
  bool is_view = false, composite = false, primitive = false, has_gradient = false, older = false;
  bool whole = false;   // the mapping of arguments gets the results
  bool python = false;  // `function` is a kernel of the CPU
  uint64_t dtypes = ~uint64_t{0};
  // By position: check, out, when, arguments. In the op's signature: function, reference.
  PyObject *check = nullptr, *outputs = nullptr, *applies = nullptr, *arguments = nullptr;
  PyObject *function = nullptr, *reference = nullptr, *result = nullptr, *autocast = nullptr;
  // Of an in-place variant: what records, and what else there is for arguments not of the kernel.
  PyObject *slow = nullptr, *in_place = nullptr;
  const Kernel* kernel = nullptr;
  const ElementwiseOp* elementwise = nullptr;
  const StructuredOp* structured = nullptr;  // gives results and calls the kernel
  // Of an elementwise op: whether nothing stands between its parameters and the kernel, how many
  // arguments it may be called with then, how many parameters the kernel takes, its constants where
  // none are given.
  bool direct = false;
  int fewest = 0, most = 0, taken = 0;
  double constants[3] = {};
  SavePolicy rule;
  CallCache* cache = nullptr;  // of an op that has one
};

// Functions in Python for what is rare.
enum Hook {
  by_name,
  asked,
  refuse,
  call_older,
  unwrap,
  is_operand,
  device_code,
  dtype_code,
  kHooks
};
extern PyObject* hooks[kHooks];
extern PyObject *missing, *plain_types, *node_type, *direct_type;

// What an elementwise kernel takes: arrays or Python's numbers (borrowed), and constants.
struct ElementwiseArgs {
  PyObject* operands[3];
  double constants[3];
};
// `given`: the output of the in-place form.
Array call_elementwise(const CallerData& c, const ElementwiseArgs& args, Array* given);
// Whether the kernel is for the dtype in which the operands meet.
bool has_kernel_for(const CallerData& c, const ElementwiseArgs& args);
inline bool accepts_operands(const CallerData& c, const ElementwiseArgs& args) {
  return !~c.dtypes || has_kernel_for(c, args);
}
void call_kernel(const Kernel& kernel, PyObject* const* args, int n, const char* where);

// A new reference, or the error that Python has.
inline nb::object checked(PyObject* result) {
  if (!result) throw nb::python_error();
  return nb::steal(result);
}

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

// run.cpp: what a call computes, not checked and not recorded.
nb::object call_by_position(PyObject* function, const Values& v);
nb::object call_by_signature(const CallerData& c, PyObject* function, const Values& v);
// An elementwise kernel; nothing where it is not for such arguments, and the reference runs.
nb::object run_elementwise(const CallerData& c, const Values& v, Array* given);
nb::object run(const CallerData& c, const Values& v, CachedCall* cached = nullptr);
// Whether the kernel serves these arguments; else the reference runs.
bool accepts(const CallerData& c, const Values& v);

// structured.cpp: the same for ops that core/contract.h has whole.
void read_structured(CallerData& c, const char* name);
nb::object run_structured(const CallerData& c, const Values& v);

// Whether the device is one that has no such kernel: the op runs there by its reference.
bool is_absent(const Kernel& kernel, Device device);

// What a Caller does when it is called (its vectorcall).
PyObject* dispatch(CallerData& c, PyObject* self, PyObject* const* args, size_t nargsf,
                   PyObject* kwnames);

// call_cache.cpp: what calls come to, by the signature of their arguments.
CallCache* new_cache();
void drop_cache(CallCache* cache);
void forget_calls();
extern int traces_running;  // of all threads
bool is_traced();           // whether this thread's calls are steps of a trace
PyObject* trace_step(CallerData& c, PyObject* self, PyObject* const* args, size_t nargsf,
                     PyObject* kwnames);
void bind_call_cache(nb::module_& m);

// Makes the node of a call whose results are `outs` and attaches them to it.
void record(CallerData& c, PyObject* const* values, PyObject* const* outs, int count);
bool is_tracked(PyObject* x);  // a tensor with a node
// Whether a tensor is a view without history of one with history: made in no_grad.
bool is_hidden(PyObject* x);

inline bool carries_gradient(const Array& a) {
  const char kind = row(a.dtype).kind;
  return kind == 'f' || kind == 'c';
}

}  // namespace tl::bind
