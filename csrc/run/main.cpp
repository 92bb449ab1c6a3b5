// tallow-run: runs saved programs without Python.
#include <unistd.h>

#include <cstdio>

#include "../core/parallel.h"
#include "../core/plan/mapping.h"
#include "arrays.h"
#include "runner.h"

namespace tl::cli {

int64_t Runner::number(const char* name, int64_t otherwise) const {
  const auto found = settings.find(0, name);
  const bool good = found != text::Json::kMissing && settings.whole(found);
  return good ? static_cast<int64_t>(settings.number(found)) : otherwise;
}

std::string_view Runner::word(const char* name, std::string_view otherwise) const {
  const auto found = settings.find(0, name);
  const bool good =
      found != text::Json::kMissing && settings.kind(found) == text::Json::Kind::string;
  return good ? settings.string(found) : otherwise;
}

bool Runner::read_texts(bool whole, Error& error) {
  if (!options.texts.empty()) return true;
  std::string content;
  if (!read_stream(0, size_t{1} << 30, content, error)) return false;
  if (whole) {
    options.texts.push_back(std::move(content));
    return true;
  }
  for (size_t at = 0; at < content.size();) {
    const size_t end = std::min(content.find('\n', at), content.size());
    options.texts.push_back(content.substr(at, end - at));
    at = end + 1;
  }
  return true;
}

Program::Entry* Runner::plan(const char* name, Error& error) {
  Program::Entry* found = program->entry(name);
  if (!found)
    error.set(ErrorKind::argument, "tallow-run", "expected a program with the plan %s, got others",
              name);
  return found;
}

namespace {

bool open(Runner& runner, Error& error) {
  Mapping mapping;
  if (!map_file(runner.options.file.c_str(), mapping, error)) return false;
  runner.program = Program::open(mapping.data, mapping.bytes, unmap, mapping.owner, error);
  if (!runner.program) return false;
  if (runner.program->entries().empty())
    return error.set(ErrorKind::argument, "tallow-run", "expected a plan in the file, got none");
  const Section* settings = runner.program->section("settings");
  const char* wrong = runner.settings.parse(
      settings ? std::string_view(reinterpret_cast<const char*>(settings->data), settings->bytes)
               : "{}");
  if (!wrong && runner.settings.kind(0) != text::Json::Kind::object) wrong = "an object";
  if (wrong)
    return error.set(ErrorKind::argument, "tallow-run", "expected settings in JSON, got %s", wrong);
  if (const Section* tables = runner.program->section("tokenizer")) {
    wrong = runner.tokenizer.open({reinterpret_cast<const uint8_t*>(tables->data), tables->bytes});
    if (wrong)
      return error.set(ErrorKind::argument, "tallow-run", "expected a tokenizer, got %s", wrong);
    runner.has_tokenizer = true;
  }
  return true;
}

struct Task {
  const char* name;
  bool (*run)(Runner&, Error&);
};
constexpr Task kTasks[] = {{"generate", generate}, {"embed", embed}, {"classify", classify}};

bool work(Runner& runner, Error& error) {
  if (!open(runner, error)) return false;
  if (runner.options.threads) set_num_threads(static_cast<int>(runner.options.threads));
  if (runner.options.verify) {
    if (!runner.program->verify(error)) return false;
    puts("all checksums are right");
  }
  if (runner.options.info) show(runner);
  if (runner.options.verify || runner.options.info) return true;
  if (runner.options.inputs.empty() && runner.options.plan.empty())
    for (const Task& task : kTasks)
      if (runner.word("task", "") == task.name) return task.run(runner, error);
  return run_plan(runner, error);
}

}  // namespace
}  // namespace tl::cli

int main(int count, char** words) {
  using namespace tl;
  cli::Runner runner;
  if (const char* wrong = cli::parse(count, words, runner.options)) {
    fprintf(stderr, "tallow-run: %s\n", wrong);
    return 2;
  }
  if (runner.options.help) {
    fputs(cli::kHelp, stdout);
    return 0;
  }
  if (const char* wrong = environment_error()) {
    fprintf(stderr, "tallow-run: %s\n", wrong);
    return 2;
  }
  Error error;
  const bool good = cli::work(runner, error);
  if (!good) fprintf(stderr, "tallow-run: %s\n", error.text);
  const bool written = fflush(stdout) == 0 && !ferror(stdout);
  if (good && !written) fprintf(stderr, "tallow-run: expected room for the output, got none\n");
  // What is mapped and what threads wait for ends with the process.
  fflush(stderr);
  _exit(good && written ? 0 : 1);
}
