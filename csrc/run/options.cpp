#include "options.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace tl::cli {
namespace {

char complaint[512];

const char* refuse(const char* option, const char* wanted, const char* got) {
  snprintf(complaint, sizeof complaint, "%.100s: expected %s, got %.200s", option, wanted, got);
  return complaint;
}

bool number(const char* text, double low, double high, double& out) {
  char* end;
  errno = 0;
  out = strtod(text, &end);
  return *text && !*end && errno == 0 && out >= low && out <= high;
}

bool integer(const char* text, int64_t low, int64_t high, int64_t& out) {
  char* end;
  errno = 0;
  out = strtoll(text, &end, 10);
  return *text && !*end && errno == 0 && out >= low && out <= high;
}

struct Flag {
  const char* name;
  bool Options::* to;
};
constexpr Flag kFlags[] = {
    {"--chat", &Options::chat}, {"--info", &Options::info},       {"--verify", &Options::verify},
    {"--json", &Options::json}, {"--timings", &Options::timings}, {"--help", &Options::help},
    {"-h", &Options::help}};

struct Integer {
  const char* name;
  int64_t Options::* to;
  int64_t low, high;
};
constexpr Integer kIntegers[] = {{"--max-tokens", &Options::max_tokens, 1, 1 << 30},
                                 {"--context", &Options::context, 2, 1 << 30},
                                 {"--threads", &Options::threads, 1, 4096},
                                 {"--seed", &Options::seed, 0, INT64_MAX},
                                 {"--top-k", &Options::top_k, 0, INT32_MAX},
                                 {"--penalty-window", &Options::window, -1, 1 << 30}};

struct Real {
  const char* name;
  double Options::* to;
  double low, high;
};
constexpr Real kReals[] = {{"--temperature", &Options::temperature, 0, 1e6},
                           {"--top-p", &Options::top_p, 0, 1},
                           {"--min-p", &Options::min_p, 0, 1},
                           {"--repetition-penalty", &Options::repetition, 1e-6, 1e6},
                           {"--frequency-penalty", &Options::frequency, -1e6, 1e6},
                           {"--presence-penalty", &Options::presence, -1e6, 1e6}};

struct Text {
  const char* name;
  std::string Options::* to;
};
constexpr Text kTexts[] = {{"--plan", &Options::plan}, {"--system", &Options::system}};

const char* take_pair(const char* option, const char* value, Options& options) {
  const char* equals = strchr(value, '=');
  if (!equals || equals == value) return refuse(option, "NAME=VALUE", value);
  const std::string name(value, equals);
  const char* rest = equals + 1;
  if (strcmp(option, "--size") == 0) {
    int64_t size;
    if (!integer(rest, 1, INT64_MAX, size)) return refuse(option, "NAME=NUMBER", value);
    options.sizes.emplace_back(name, size);
  } else {
    (strcmp(option, "--input") == 0 ? options.inputs : options.outputs).emplace_back(name, rest);
  }
  return nullptr;
}

// The option's value; null where it is one of another kind.
const char* take(const char* option, const char* value, Options& options, bool& known) {
  for (const Integer& each : kIntegers)
    if (strcmp(option, each.name) == 0)
      return integer(value, each.low, each.high, options.*each.to)
                 ? nullptr
                 : refuse(option, "an integer in its range", value);
  for (const Real& each : kReals)
    if (strcmp(option, each.name) == 0)
      return number(value, each.low, each.high, options.*each.to)
                 ? nullptr
                 : refuse(option, "a number in its range", value);
  for (const Text& each : kTexts)
    if (strcmp(option, each.name) == 0) return options.*each.to = value, nullptr;
  if (strcmp(option, "--prompt") == 0) return options.texts.emplace_back(value), nullptr;
  if (strcmp(option, "--stop") == 0)
    return *value ? (options.stops.emplace_back(value), nullptr)
                  : refuse(option, "a text", "an empty one");
  for (const char* name : {"--input", "--output", "--size"})
    if (strcmp(option, name) == 0) return take_pair(option, value, options);
  known = false;
  return nullptr;
}

}  // namespace

const char kHelp[] =
    "tallow-run FILE.tlw [options] [TEXT …]: run a saved program\n"
    "\n"
    "A language model continues TEXT (or what stands in standard input), an embedder and a\n"
    "classifier take each TEXT, or each line of standard input; any program takes --input.\n"
    "\n"
    "  --prompt TEXT          the same as TEXT\n"
    "  --chat                 TEXT is what a user says (--system TEXT before it)\n"
    "  --max-tokens N         at most so many new tokens (256)\n"
    "  --temperature X, --top-k N, --top-p X, --min-p X, --seed N\n"
    "  --repetition-penalty X, --frequency-penalty X, --presence-penalty X, --penalty-window N\n"
    "  --stop TEXT            end before this text; may be given again\n"
    "  --context N            room for so many tokens\n"
    "  --input NAME=PATH      an input: .npy, .json (lists of numbers), else raw elements\n"
    "  --output NAME=PATH     write an output as .npy, else as raw elements\n"
    "  --size NAME=N          a size that no input tells\n"
    "  --plan NAME            which plan to run (the first one)\n"
    "  --threads N            how many threads compute\n"
    "  --json                 results as one line of JSON each\n"
    "  --timings              how long it took, on standard error\n"
    "  --info                 what the file holds\n"
    "  --verify               compare the whole file with its checksums\n";

const char* parse(int count, char** words, Options& options) {
  bool plain = false;  // after --
  for (int i = 1; i < count; ++i) {
    const char* word = words[i];
    if (!plain && strcmp(word, "--") == 0) {
      plain = true;
      continue;
    }
    if (plain || word[0] != '-' || !word[1]) {
      if (options.file.empty())
        options.file = word;
      else
        options.texts.emplace_back(word);
      continue;
    }
    bool flag = false;
    for (const Flag& each : kFlags)
      if (strcmp(word, each.name) == 0) flag = options.*each.to = true;
    if (flag) continue;
    if (i + 1 == count) return refuse(word, "an option that is known, with its value", "the end");
    bool known = true;
    if (const char* error = take(word, words[++i], options, known)) return error;
    if (!known) return refuse(word, "an option that is known (see --help)", "another");
  }
  if (options.file.empty() && !options.help) return refuse("tallow-run", "a FILE.tlw", "none");
  return nullptr;
}

}  // namespace tl::cli
