// The C ABI over saved programs.
#include <memory>
#include <new>

#include "c_api.h"
#include "plan/mapping.h"
#include "plan/program.h"

struct tl_program {
  std::unique_ptr<tl::Program> program;
};

namespace tl {
namespace {

tl_program* wrap(std::unique_ptr<Program>&& program, const Error& error) {
  if (program) return new tl_program{std::move(program)};
  fail(error);
  return nullptr;
}

Program::Entry* entry(const tl_program* program, int plan) {
  if (!program) return nullptr;
  std::vector<Program::Entry>& entries = program->program->entries();
  return plan >= 0 && plan < static_cast<int>(entries.size()) ? &entries[plan] : nullptr;
}

const char* named(const std::vector<std::string>& names, int i) {
  return i >= 0 && i < static_cast<int>(names.size()) ? names[i].c_str() : nullptr;
}

const PlanSymbol* size_of(const tl_program* program, int plan, int i) {
  const Program::Entry* e = entry(program, plan);
  const int count = e ? static_cast<int>(e->plan->symbols().symbols.size()) : 0;
  return i >= 0 && i < count ? &e->plan->symbols().symbols[i] : nullptr;
}

const char* none(const char* where, int plan) {
  return fail("%s: expected a program and the number of a plan, got %d", where, plan);
}

}  // namespace
}  // namespace tl

using namespace tl;

extern "C" {

tl_program* tl_program_open(const char* path) {
  Error error;
  Mapping mapping;
  if (!path || !map_file(path, mapping, error)) {
    if (!path) fail("tl_program_open: expected a path, got NULL");
    if (path) fail(error);
    return nullptr;
  }
  return wrap(Program::open(mapping.data, mapping.bytes, unmap, mapping.owner, error), error);
}

tl_program* tl_program_open_bytes(const void* data, size_t bytes, void (*release)(void*),
                                  void* owner) {
  Error error;
  if (data || bytes == 0)
    return wrap(Program::open(static_cast<const std::byte*>(data), bytes, release, owner, error),
                error);
  if (release) release(owner);
  fail("tl_program_open_bytes: expected bytes, got NULL");
  return nullptr;
}

void tl_program_close(tl_program* program) { delete program; }

const char* tl_program_verify(const tl_program* program) {
  Error error;
  if (!program) return none("tl_program_verify", 0);
  return program->program->verify(error) ? nullptr : fail(error);
}

const void* tl_program_section(const tl_program* program, const char* name, size_t* bytes) {
  const Section* found = program && name ? program->program->section(name) : nullptr;
  if (bytes) *bytes = found ? found->bytes : 0;
  return found ? found->data : nullptr;
}

int tl_program_plans(const tl_program* program) {
  return program ? static_cast<int>(program->program->entries().size()) : 0;
}

int tl_program_find(const tl_program* program, const char* name) {
  for (int i = 0; name && i < tl_program_plans(program); ++i)
    if (entry(program, i)->name == name) return i;
  fail("tl_program_find: expected the name of a plan, got %.64s", name ? name : "NULL");
  return -1;
}

const char* tl_plan_name(const tl_program* program, int plan) {
  const Program::Entry* e = entry(program, plan);
  return e ? e->name.c_str() : nullptr;
}
const char* tl_plan_input_name(const tl_program* program, int plan, int input) {
  const Program::Entry* e = entry(program, plan);
  return e ? named(e->inputs, input) : nullptr;
}
const char* tl_plan_output_name(const tl_program* program, int plan, int output) {
  const Program::Entry* e = entry(program, plan);
  return e ? named(e->outputs, output) : nullptr;
}
const char* tl_plan_size_name(const tl_program* program, int plan, int size) {
  const PlanSymbol* symbol = size_of(program, plan, size);
  return symbol ? symbol->name.c_str() : nullptr;
}
const char* tl_plan_size_range(const tl_program* program, int plan, int size, int64_t* least,
                               int64_t* most) {
  const PlanSymbol* symbol = size_of(program, plan, size);
  if (!symbol) return none("tl_plan_size_range", plan);
  if (least) *least = symbol->least;
  if (most) *most = symbol->most;
  return nullptr;
}

const char* tl_program_set(tl_program* program, int plan, const int64_t* sizes, int n) {
  Program::Entry* e = entry(program, plan);
  if (!e || n < 0 || (n && !sizes)) return none("tl_program_set", plan);
  Error error;
  return program->program->set(*e, {sizes, sizes + n}, error) ? nullptr : fail(error);
}

void tl_program_clear(tl_program* program) {
  if (program) program->program->clear_states();
}

int tl_plan_input_info(const tl_program* program, int plan, int input, tl_info* info) {
  const Program::Entry* e = entry(program, plan);
  if (!e || !info || !named(e->inputs, input)) return 0;
  const PlanTables& tables = e->plan->tables();
  const View& view = tables.values[tables.inputs[input]].view;
  *info = {};
  info->dtype = static_cast<int>(view.dtype);
  info->ndim = view.ndim;
  for (int i = 0; i < view.ndim; ++i) {
    info->shape[i] = view.shape[i];
    info->strides[i] = view.strides[i];
  }
  info->size = view.size();
  info->contiguous = view.contiguous();
  info->writable = 1;
  return 1;
}

const char* tl_program_run(tl_program* program, int plan, tl_array* const* inputs, int n,
                           tl_array** outputs, int m) {
  Program::Entry* e = entry(program, plan);
  for (int i = 0; outputs && i < m; ++i) outputs[i] = nullptr;
  if (!e || n < 0 || (n && !inputs) || (m && !outputs)) return none("tl_program_run", plan);
  if (m != static_cast<int>(e->outputs.size()))
    return fail("tl_program_run: expected room for %zu outputs, got %d", e->outputs.size(), m);
  std::vector<const Array*> given;
  for (int i = 0; i < n; ++i) {
    if (!inputs[i]) return fail("tl_program_run: expected %d inputs, got NULL for one", n);
    given.push_back(&inputs[i]->array);
  }
  Error error;
  std::vector<Array> results;
  if (!e->plan->call(given, results, error)) return fail(error);
  for (int i = 0; i < m; ++i) {
    outputs[i] = handle("tl_program_run", std::move(results[i]));
    if (outputs[i]) continue;
    for (int k = 0; k < i; ++k) tl_array_release(outputs[k]);
    for (int k = 0; k < i; ++k) outputs[k] = nullptr;
    return tl_last_error();
  }
  return nullptr;
}

}  // extern "C"
