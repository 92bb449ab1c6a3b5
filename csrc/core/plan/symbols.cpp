#include "symbols.h"

#include "../call.h"
#include "../chain.h"
#include "../strides.h"

namespace tl {
namespace {

bool evaluate(const PlanTerm* terms, uint32_t count, const int64_t* values, int symbols,
              int64_t& sum) {
  sum = 0;
  for (uint32_t t = 0; t < count; ++t) {
    int64_t product = terms[t].factor;
    for (int s = 0; s < symbols; ++s)
      for (int power = terms[t].powers[s]; power > 0; --power)
        if (__builtin_mul_overflow(product, values[s], &product)) return false;
    if (__builtin_add_overflow(sum, product, &sum)) return false;
  }
  return true;
}

int64_t& field(PlanTables& tables, const PlanPatch& patch) {
  switch (patch.target) {
    case PlanPatch::bytes:
      return tables.buffers[patch.index].bytes;
    case PlanPatch::offset:
      return tables.values[patch.index].offset;
    case PlanPatch::shape:
      return tables.values[patch.index].view.shape[patch.axis];
    case PlanPatch::stride:
      return tables.values[patch.index].view.strides[patch.axis];
    default:
      return tables.args[patch.index].i;
  }
}

bool refuse(Error& error, const char* what, size_t index) {
  return error.set(ErrorKind::argument, "plan", "expected %s, got others at %zu", what, index);
}

bool lies_within(const PlanValue& value, const PlanBuffer& buffer) {
  const View& v = value.view;
  int64_t low, high, begin, end;
  if (static_cast<int>(v.dtype) >= kDTypeCount || v.ndim < 0 || v.ndim > kMaxDims) return false;
  const int64_t bytes = contiguous_bytes(v.dtype, v.shape, v.ndim);
  if (bytes < 0 || value.offset < 0 || value.offset % alignment_of(v.dtype) != 0) return false;
  if (bytes == 0) return true;  // a part of what is empty may begin behind it
  if (value.offset > buffer.bytes) return false;
  if (is_block(v.dtype)) {
    // Rows of whole blocks, one after the other; only whole rows are apart.
    const int64_t block = block_of(v.dtype);
    if (v.strides[v.ndim - 1] != 1) return false;
    for (int i = 0; i + 1 < v.ndim; ++i)
      if (v.strides[i] % block != 0) return false;
    int64_t reach = v.shape[v.ndim - 1];
    for (int i = 0; i + 1 < v.ndim; ++i) {
      int64_t step;
      if (v.strides[i] < 0 || __builtin_mul_overflow(v.shape[i] - 1, v.strides[i], &step) ||
          __builtin_add_overflow(reach, step, &reach))
        return false;
    }
    return !__builtin_mul_overflow(reach / block, int64_t{bytes_of(v.dtype)}, &end) &&
           end <= buffer.bytes - value.offset;
  }
  if (!find_reach(v.dtype, v.shape, v.strides, v.ndim, low, high)) return false;
  const int64_t item = bytes_of(v.dtype);
  return !__builtin_mul_overflow(low, item, &begin) && begin >= -value.offset &&
         !__builtin_mul_overflow(high + 1, item, &end) && end <= buffer.bytes - value.offset;
}

bool is_expanded(const View& v) {
  for (int i = 0; i < v.ndim; ++i)
    if (v.strides[i] == 0 && v.shape[i] > 1) return v.size() > 0;
  return false;
}

bool check_args(const PlanTables& tables, const PlanCall& call, Error& error) {
  Arg args[kMaxArgs];
  for (int i = 0; i < call.n; ++i) {
    args[i] = tables.args[call.first + i];
    if (args[i].kind != Arg::array) continue;
    const int64_t index = args[i].i;
    if (index < 0 || index >= static_cast<int64_t>(tables.values.size()))
      return error.set(ErrorKind::argument, call.kernel->name, "expected a value of the plan");
    const PlanValue& value = tables.values[index];
    const Role role = tables.buffers[value.buffer].role;
    if (tables.is_written(call, i) && (role == Role::constant || role == Role::weight))
      return error.set(ErrorKind::argument, call.kernel->name,
                       "expected results that may be written, got a constant");
    args[i].a = &value.view;
  }
  if (const char* text = check_call(*call.kernel, args, call.n))
    return error.set(ErrorKind::argument, call.kernel->name, "%s", text);
  Chain chain;
  const char* wrong = is_chain(*call.kernel) ? chain.read(args) : nullptr;
  if (wrong) return error.set(ErrorKind::argument, call.kernel->name, "%s, got others", wrong);
  return true;
}

// Calls that are left out read nothing that a run may change beside weights, and what they write
// no other call does.
bool check_once(const PlanTables& tables, Error& error) {
  if (tables.once > tables.calls.size()) return refuse(error, "calls to leave out", tables.once);
  std::vector<bool> by_first(tables.buffers.size());
  for (size_t at = 0; at < tables.calls.size(); ++at) {
    const PlanCall& call = tables.calls[at];
    const bool once = at < tables.once;
    for (int i = 0; i < call.n; ++i) {
      const Arg& arg = tables.args[call.first + i];
      if (arg.kind != Arg::array) continue;
      const int b = tables.values[arg.i].buffer;
      const Role role = tables.buffers[b].role;
      const bool own = role == Role::temporary || role == Role::kept;
      const bool fixed = role == Role::weight || role == Role::constant;
      const bool writes = tables.is_written(call, i);
      const bool good =
          once ? own || (fixed && !writes)
               : !(by_first[b] && role == Role::temporary) && !(role == Role::kept && writes);
      if (!good) return refuse(error, "first calls apart from the others", at);
      if (once && own) by_first[b] = true;
    }
  }
  return true;
}

}  // namespace

bool check_patches(const PlanSymbols& symbols, const PlanTables& tables, Error& error) {
  if (symbols.symbols.size() > kMaxSymbols) return refuse(error, "at most 4 symbols", 0);
  for (size_t i = 0; i < symbols.patches.size(); ++i) {
    const PlanPatch& patch = symbols.patches[i];
    const size_t rows = patch.target == PlanPatch::bytes     ? tables.buffers.size()
                        : patch.target == PlanPatch::integer ? tables.args.size()
                                                             : tables.values.size();
    bool good = patch.target < PlanPatch::targets && patch.index < rows &&
                patch.first <= symbols.terms.size() &&
                patch.count <= symbols.terms.size() - patch.first;
    if (good && (patch.target == PlanPatch::shape || patch.target == PlanPatch::stride))
      good = patch.axis < tables.values[patch.index].view.ndim;
    if (good && patch.target == PlanPatch::integer)
      good = tables.args[patch.index].kind == Arg::integer;
    if (!good) return refuse(error, "patches of integers that the plan has", i);
  }
  return true;
}

bool set_symbols(const PlanSymbols& symbols, const int64_t* values, PlanTables& tables,
                 Error& error) {
  const int count = static_cast<int>(symbols.symbols.size());
  for (int s = 0; s < count; ++s) {
    const PlanSymbol& symbol = symbols.symbols[s];
    if (values[s] < symbol.least || values[s] > symbol.most)
      return error.set(ErrorKind::argument, "plan", "expected %.64s from %lld to %lld, got %lld",
                       symbol.name.c_str(), static_cast<long long>(symbol.least),
                       static_cast<long long>(symbol.most), static_cast<long long>(values[s]));
  }
  for (size_t i = 0; i < symbols.patches.size(); ++i) {
    const PlanPatch& patch = symbols.patches[i];
    int64_t sum;
    if (!evaluate(symbols.terms.data() + patch.first, patch.count, values, count, sum))
      return refuse(error, "integers of 64 bits", i);
    field(tables, patch) = sum;
  }
  return check_sizes(tables, error);
}

bool check_references(const PlanTables& tables, Error& error) {
  const int buffers = static_cast<int>(tables.buffers.size());
  for (size_t i = 0; i < tables.values.size(); ++i) {
    const PlanValue& value = tables.values[i];
    const bool good = value.buffer >= 0 && value.buffer < buffers && value.view.ndim >= 0 &&
                      value.view.ndim <= kMaxDims &&
                      static_cast<int>(value.view.dtype) < kDTypeCount;
    if (!good) return refuse(error, "values of buffers that the plan has", i);
  }
  for (const std::vector<int>* list : {&tables.inputs, &tables.outputs})
    for (size_t i = 0; i < list->size(); ++i)
      if ((*list)[i] < 0 || (*list)[i] >= static_cast<int>(tables.values.size()))
        return refuse(error, "inputs and outputs that are values", i);
  for (size_t i = 0; i < tables.inputs.size(); ++i)
    if (tables.buffers[tables.values[tables.inputs[i]].buffer].role != Role::input)
      return refuse(error, "inputs on buffers of inputs", i);
  for (size_t i = 0; i < tables.outputs.size(); ++i) {
    const Role role = tables.buffers[tables.values[tables.outputs[i]].buffer].role;
    if (role == Role::temporary || role == Role::kept)
      return refuse(error, "outputs that outlast the run", i);
  }
  for (size_t i = 0; i < tables.calls.size(); ++i) {
    const PlanCall& call = tables.calls[i];
    if (call.n < 0 || call.n > kMaxArgs || call.first > tables.args.size() ||
        static_cast<size_t>(call.n) > tables.args.size() - call.first)
      return refuse(error, "calls with arguments that the plan has", i);
    if (!check_args(tables, call, error)) return false;
  }
  return check_once(tables, error);
}

bool check_sizes(const PlanTables& tables, Error& error) {
  for (size_t i = 0; i < tables.buffers.size(); ++i) {
    const PlanBuffer& buffer = tables.buffers[i];
    // What is bound must be there in full.
    const bool bound = buffer.held.ok() && buffer.role != Role::input;
    if (buffer.bytes < 0 || buffer.bytes > INT64_MAX / 4 ||
        (bound && buffer.bytes > static_cast<int64_t>(held_bytes(*buffer.held.storage()))))
      return refuse(error, "buffers of a size that there is memory for", i);
  }
  for (size_t i = 0; i < tables.values.size(); ++i)
    if (!lies_within(tables.values[i], tables.buffers[tables.values[i].buffer]))
      return refuse(error, "values that lie in their buffers", i);
  for (const PlanCall& call : tables.calls)
    for (int i = 0; i < call.n; ++i) {
      const Arg& arg = tables.args[call.first + i];
      if (arg.kind == Arg::array && tables.is_written(call, i) &&
          is_expanded(tables.values[arg.i].view))
        return error.set(ErrorKind::argument, call.kernel->name,
                         "expected a result whose elements lie apart, got an expanded one");
    }
  return true;
}

bool check_tables(const PlanTables& tables, Error& error) {
  return check_references(tables, error) && check_sizes(tables, error);
}

}  // namespace tl
