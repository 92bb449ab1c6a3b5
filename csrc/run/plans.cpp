// Any plan on inputs from files, and what a file holds.
#include <algorithm>
#include <cstdio>

#include "../core/call.h"
#include "arrays.h"
#include "runner.h"

namespace tl::cli {
namespace {

bool refuse(Error& error, const char* wanted, const std::string& got) {
  return error.set(ErrorKind::argument, "tallow-run", "expected %s, got %s", wanted, got.c_str());
}

std::string joined(const std::vector<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += (all.empty() ? "" : ", ") + name;
  return all.empty() ? "none" : all;
}

const std::string* path_of(const std::vector<std::pair<std::string, std::string>>& list,
                           const std::string& name) {
  for (const auto& [key, path] : list)
    if (key == name) return &path;
  return nullptr;
}

// Inputs in the plan's order; those of raw elements once sizes are known.
class Inputs {
 public:
  Inputs(Runner& runner, Program::Entry& entry, Error& error)
      : options_(runner.options), program_(*runner.program), entry_(entry), error_(error) {}

  bool read(std::vector<Array>& arrays) {
    for (const auto& [name, _] : options_.inputs)
      if (std::find(entry_.inputs.begin(), entry_.inputs.end(), name) == entry_.inputs.end())
        return refuse(error_, ("inputs of " + joined(entry_.inputs)).c_str(), name);
    arrays.resize(entry_.inputs.size());
    sizes_.assign(entry_.plan->symbols().symbols.size(), -1);
    for (const auto& [name, size] : options_.sizes)
      if (!name_size(name, size)) return false;
    if (!read_those(arrays, false) || !set() || !read_those(arrays, true)) return false;
    return true;
  }

 private:
  bool name_size(const std::string& name, int64_t size) {
    const auto& symbols = entry_.plan->symbols().symbols;
    for (size_t i = 0; i < symbols.size(); ++i)
      if (symbols[i].name == name) return sizes_[i] = size, true;
    return refuse(error_, "a size that the plan has", name);
  }

  bool read_those(std::vector<Array>& arrays, bool raw) {
    const PlanTables& tables = entry_.plan->tables();
    for (size_t i = 0; i < arrays.size(); ++i) {
      const std::string* path = path_of(options_.inputs, entry_.inputs[i]);
      if (!path) return refuse(error_, ("--input " + entry_.inputs[i] + "=PATH").c_str(), "none");
      const auto ends = [path](const char* end) {
        const size_t n = std::char_traits<char>::length(end);
        return path->size() >= n && path->compare(path->size() - n, n, end) == 0;
      };
      if ((ends(".npy") || ends(".json")) == raw) continue;
      const int value = tables.inputs[i];
      arrays[i] = read_input(*path, tables.values[value].view, raw, error_);
      if (!arrays[i].ok() || !take_sizes(value, arrays[i])) return false;
    }
    return true;
  }

  // The sizes that an axis of the input is.
  bool take_sizes(int value, const Array& array) {
    const PlanSymbols& symbols = entry_.plan->symbols();
    for (const PlanPatch& patch : symbols.patches) {
      if (patch.target != PlanPatch::shape || static_cast<int>(patch.index) != value) continue;
      if (patch.count != 1 || patch.axis >= array.ndim) continue;
      const PlanTerm& term = symbols.terms[patch.first];
      int powers = 0, symbol = 0;
      for (int s = 0; s < kMaxSymbols; ++s) {
        powers += term.powers[s];
        if (term.powers[s]) symbol = s;
      }
      if (term.factor == 1 && powers == 1 && sizes_[static_cast<size_t>(symbol)] < 0)
        sizes_[static_cast<size_t>(symbol)] = array.shape[patch.axis];
    }
    return true;
  }

  bool set() {
    for (size_t i = 0; i < sizes_.size(); ++i)
      if (sizes_[i] < 0)
        return refuse(error_, "a --size for each that no input tells",
                      "none for " + entry_.plan->symbols().symbols[i].name);
    return program_.set(entry_, sizes_, error_);
  }

  const Options& options_;
  Program& program_;
  Program::Entry& entry_;
  Error& error_;
  std::vector<int64_t> sizes_;
};

bool write(Runner& runner, const Program::Entry& entry, const std::vector<Array>& results,
           Error& error) {
  for (const auto& [name, path] : runner.options.outputs) {
    const auto found = std::find(entry.outputs.begin(), entry.outputs.end(), name);
    if (found == entry.outputs.end())
      return refuse(error, ("an output of " + joined(entry.outputs)).c_str(), name);
    if (!write_output(path, results[static_cast<size_t>(found - entry.outputs.begin())], error))
      return false;
  }
  if (!runner.options.outputs.empty()) return true;
  if (runner.word("task", "") == "classify" && results[0].ndim == 2) {
    for (int64_t row = 0; row < results[0].shape[0]; ++row) print_labels(runner, results[0], row);
    return true;
  }
  std::string line = "{";
  for (size_t i = 0; i < results.size(); ++i) {
    line += i ? ", " : "";
    append_json_text(entry.outputs[i], line);
    line += ": ";
    append_json(results[i], line);
  }
  puts((line + "}").c_str());
  return true;
}

}  // namespace

bool run_plan(Runner& runner, Error& error) {
  const std::string& name = runner.options.plan;
  Program::Entry* entry =
      name.empty() ? &runner.program->entries()[0] : runner.plan(name.c_str(), error);
  if (!entry) return false;
  std::vector<Array> inputs, results;
  if (!Inputs(runner, *entry, error).read(inputs)) return false;
  std::vector<const Array*> given;
  for (const Array& each : inputs) given.push_back(&each);
  return entry->plan->call(given, results, error) && write(runner, *entry, results, error);
}

void show(const Runner& runner) {
  for (const Program::Entry& entry : runner.program->entries()) {
    printf("plan %s: %zu calls\n", entry.name.c_str(), entry.plan->tables().calls.size());
    const PlanTables& tables = entry.plan->tables();
    for (size_t i = 0; i < entry.inputs.size(); ++i) {
      const View& view = tables.values[tables.inputs[i]].view;
      printf("  input %s: %s %s\n", entry.inputs[i].c_str(), row(view.dtype).name,
             ShapeText(view).text);
    }
    for (const std::string& output : entry.outputs) printf("  output %s\n", output.c_str());
    for (const PlanSymbol& symbol : entry.plan->symbols().symbols)
      printf("  size %s: %lld to %lld\n", symbol.name.c_str(), static_cast<long long>(symbol.least),
             static_cast<long long>(symbol.most));
  }
  for (const Section& section : runner.program->sections())
    printf("section %s: %zu bytes\n", section.name.c_str(), section.bytes);
}

}  // namespace tl::cli
