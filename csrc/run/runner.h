// What the tasks of tallow-run share: the program, its settings and its tokenizer.
#pragma once
#include <memory>

#include "../core/plan/program.h"
#include "../text/json.h"
#include "../text/tokenizer.h"
#include "options.h"

namespace tl::cli {

struct Runner {
  Options options;
  std::unique_ptr<Program> program;
  text::Json settings;
  text::Tokenizer tokenizer;
  bool has_tokenizer = false;

  // A setting, or what stands in its place.
  int64_t number(const char* name, int64_t otherwise) const;
  std::string_view word(const char* name, std::string_view otherwise) const;
  // The texts of the command line, or the lines (`whole`: all) of standard input.
  bool read_texts(bool whole, Error& error);
  // A plan of this name; null with an error where there is none.
  Program::Entry* plan(const char* name, Error& error);
};

// Results go to standard output; false: `error` says why not.
bool generate(Runner& runner, Error& error);
bool embed(Runner& runner, Error& error);     // texts to vectors
bool classify(Runner& runner, Error& error);  // texts to labels
bool run_plan(Runner& runner, Error& error);  // inputs from files
void show(const Runner& runner);              // what the file holds

// The labels of a row of probabilities, the likeliest first, as text or JSON.
void print_labels(const Runner& runner, const Array& probabilities, int64_t row);

// Python's random.Random(seed).random(): 53 bits of MT19937 (Matsumoto and Nishimura 1998), seeded
// by init_by_array.
class Random {
 public:
  explicit Random(uint64_t seed);
  double next();

 private:
  uint32_t word();
  uint32_t state_[624];
  int at_ = 624;
};

}  // namespace tl::cli
