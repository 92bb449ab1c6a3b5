// Traces of calls: what the body of an op does, as steps that can be repeated; see call_cache.h.
#include <utility>

#include "call_cache.h"

namespace tl::bind {

int traces_running;
static thread_local Trace* current;

static const Storage* storage_of(PyObject* x) {
  return is_tensor(x) && as_tensor(x)->array ? array_of(x)->storage() : nullptr;
}

static View relative(const Array& x, const Array& from) {
  View view = x;
  view.data = reinterpret_cast<std::byte*>(x.byte_offset() - from.byte_offset());
  return view;
}
// Whether no element of the view is outside those of the tensor that it is made of: another tensor
// of the same signature may have no more memory than they need (`as_strided`).
static bool lies_within(const View& view, const View& from) {
  int64_t ends[2][2];
  for (int k = 0; k < 2; ++k) {
    const View& v = k ? from : view;
    int64_t first = 0, last = 0;
    for (int i = 0; i < v.ndim; ++i) {
      if (v.shape[i] == 0) return !k;
      const int64_t way = (v.shape[i] - 1) * v.strides[i];
      (way < 0 ? first : last) += way;
    }
    const DTypeRow& r = row(v.dtype);
    ends[k][0] = first * r.bytes / r.block;
    ends[k][1] = (last + 1) * r.bytes / r.block;
  }
  const int64_t shift = view.data - from.data;
  return ends[0][0] + shift >= ends[1][0] && ends[0][1] + shift <= ends[1][1];
}

bool sizes_of(PyObject* out, std::vector<int64_t>& sizes) {
  if (is_tensor(out)) {
    if (!as_tensor(out)->array) return false;
    const Array& a = *as_array(as_tensor(out)->array);
    sizes.push_back(a.ndim);
    sizes.insert(sizes.end(), a.shape, a.shape + a.ndim);
    return true;
  }
  if (!PyTuple_Check(out) && !PyList_Check(out)) return out == Py_None;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(out); ++i)
    if (!sizes_of(PySequence_Fast_GET_ITEM(out, i), sizes)) return false;
  return true;
}

Trace::Trace(const Values& v, const Signature& signature)
    : recipe_(std::make_shared<Recipe>(signature)), before_(std::exchange(current, this)) {
  ++traces_running;
  enabled_ = mode().enabled;
  for (int i = 0; i < v.n; ++i) see(v.at[i], i);
  for (size_t i = 0; i < seen_.size() && !shared_; ++i)
    for (size_t k = 0; k < i && !shared_; ++k)
      shared_ = storage_of(seen_[i].x) && storage_of(seen_[i].x) == storage_of(seen_[k].x);
}

Trace::~Trace() {
  current = before_;
  --traces_running;
}

void Trace::see(PyObject* x, int slot) {
  auto note = [&](PyObject* one, int part) {
    const uint32_t version =
        is_tensor(one) && as_tensor(one)->array ? array_of(one)->storage()->version.load() : 0;
    seen_.push_back({one, slot, part, version});
  };
  const bool sequence = PyTuple_Check(x) || PyList_Check(x);
  if (sequence || is_tensor(x)) note(x, -1);
  if (!sequence) return;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(x); ++i)
    if (is_tensor(PySequence_Fast_GET_ITEM(x, i)))
      note(PySequence_Fast_GET_ITEM(x, i), static_cast<int>(i));
}

bool Trace::find(PyObject* x, Operand& operand) const {
  for (const Seen& seen : seen_)
    if (seen.x == x) return operand.slot = seen.slot, operand.part = seen.part, true;
  return false;
}

// A tensor that no op gave may be a view of a known one, by an index or `detach`.
bool Trace::find_view(PyObject* x, Operand& operand) const {
  if (shared_ || !as_tensor(x)->array || as_tensor(x)->node != Py_None) return false;
  const Array& view = *array_of(x);
  for (const Seen& seen : seen_) {
    if (storage_of(seen.x) != view.storage()) continue;
    const Array& from = *array_of(seen.x);
    if (!lies_within(view, from)) continue;
    operand.slot = seen.slot, operand.part = seen.part;
    operand.is_view = true, operand.view = relative(view, from);
    return true;
  }
  return false;
}

bool Trace::describe(PyObject* x, Operand& operand, bool result) const {
  if (is_tensor(x)) return find(x, operand) || (!result && find_view(x, operand));
  const bool list = PyList_CheckExact(x);
  if (result && find(x, operand)) return !list && operand.slot >= kFirstStep;
  if (list || PyTuple_CheckExact(x)) {
    operand.sequence = Py_TYPE(x);
    operand.items.resize(static_cast<size_t>(PySequence_Fast_GET_SIZE(x)));
    for (size_t i = 0; i < operand.items.size(); ++i)
      if (!describe(PySequence_Fast_GET_ITEM(x, static_cast<Py_ssize_t>(i)), operand.items[i],
                    result))
        return false;
    return true;
  }
  if (result || !holds_no_tensor(x)) return false;
  operand.constant = nb::borrow(x);
  return true;
}

// Whether nothing that is known was written to, which no step would do again.
bool Trace::unchanged() const {
  for (const Seen& seen : seen_)
    if (is_tensor(seen.x) && as_tensor(seen.x)->array &&
        array_of(seen.x)->storage()->version.load() != seen.version)
      return false;
  return true;
}

void Trace::outputs(const Results& results) {
  recipe_->several = results.all.is_valid() && PyTuple_Check(results.all.ptr());
  for (int i = 0; i < results.count; ++i) {
    recipe_->outputs.push_back(*array_of(results.each[i].ptr()));
    see(results.each[i].ptr(), kFirstOutput + i);
  }
}

void Trace::kernel(PyObject* const* args, int n) {
  recipe_->kernel = true;
  recipe_->args.resize(static_cast<size_t>(n));
  for (int i = 0; good_ && i < n; ++i)
    good_ = describe(args[i], recipe_->args[static_cast<size_t>(i)], false);
  good_ = good_ && unchanged();
  seen_.clear();  // the results are written from here on
}

void Trace::views(const CallerData& c, PyObject* x, PyObject* result) {
  recipe_->several = PyTuple_CheckExact(result);
  const Array& from = *array_of(x);
  if (c.name == "reshape" && row(from.dtype).kind != 'q' && is_tensor(result) &&
      array_of(result)->storage() != from.storage()) {
    recipe_->outputs.push_back(*array_of(result));
    recipe_->view = recipe_->copy = true;
    return;
  }
  auto one = [&](PyObject* out) {
    if (!is_tensor(out) || out == x || array_of(out)->storage() != from.storage()) return false;
    // In another dtype it may have to be a copy, which the address decides.
    if (array_of(out)->dtype != from.dtype) return false;
    if (!lies_within(*array_of(out), from)) return false;
    recipe_->outputs.push_back(relative(*array_of(out), from));
    return true;
  };
  if (recipe_->several) {
    for (Py_ssize_t i = 0; good_ && i < PyTuple_GET_SIZE(result); ++i)
      good_ = one(PyTuple_GET_ITEM(result, i));
  } else {
    good_ = good_ && one(result);
  }
  good_ = good_ && unchanged();
  recipe_->view = true;
}

void Trace::step(CallerData& c, PyObject* self, PyObject* const* args, Py_ssize_t given,
                 PyObject* kwnames, PyObject* out) {
  const size_t n = static_cast<size_t>(given + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0));
  // What the body does in another mode, a repetition would do in this one.
  if (mode().enabled != enabled_) good_ = false;
  if (!out || (c.flags & kInPlace) || n > 2 * kMaxParameters || recipe_->steps.size() == kMostSteps)
    good_ = false;
  if (!good_) return;
  Step step{&c, nb::borrow(self), nb::borrow(kwnames), given, std::vector<Operand>(n), {}};
  for (size_t i = 0; good_ && i < n; ++i) good_ = describe(args[i], step.args[i], false);
  good_ = good_ && sizes_of(out, step.sizes);
  alive_.push_back(nb::borrow(out));
  see(out, kFirstStep + static_cast<int>(recipe_->steps.size()));
  recipe_->steps.push_back(std::move(step));
}

void Trace::keep(const CallerData& c, const Signature& signature, PyObject* result) {
  if (!recipe_->kernel && !recipe_->view)
    good_ = good_ && unchanged() && describe(result, recipe_->result, true);
  recipe_->usable = good_;
  c.cache->put(signature, recipe_);
}

bool is_traced() { return current != nullptr; }

// A call of an op that another op's body makes: a step of the trace.
PyObject* trace_step(CallerData& c, PyObject* self, PyObject* const* args, size_t nargsf,
                     PyObject* kwnames) {
  Trace* trace = std::exchange(current, nullptr);
  PyObject* out = dispatch(c, self, args, nargsf, kwnames);
  current = trace;
  trace->step(c, self, args, PyVectorcall_NARGS(nargsf), kwnames, out);
  return out;
}

void refuse_trace() {
  if (traces_running && current) current->refuse();
}

}  // namespace tl::bind
