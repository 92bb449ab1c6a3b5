// The command line of tallow-run.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tl::cli {

struct Options {
  std::string file;
  std::vector<std::string> texts;
  std::vector<std::pair<std::string, std::string>> inputs, outputs;  // name, path
  std::vector<std::pair<std::string, int64_t>> sizes;
  std::vector<std::string> stops;
  std::string plan, system;
  bool chat = false, info = false, verify = false, json = false, timings = false, help = false;
  int64_t max_tokens = 256, context = 0, threads = 0, seed = -1, top_k = 0, window = 64;
  double temperature = 0, top_p = 1, min_p = 0, repetition = 1, frequency = 0, presence = 0;
};

// Null, or what is wrong with the command line.
const char* parse(int count, char** words, Options& options);

extern const char kHelp[];

}  // namespace tl::cli
