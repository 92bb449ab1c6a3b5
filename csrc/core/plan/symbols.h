// Integers of a plan's tables that follow from a few numbers, such as the length of a text: sums of
// products of them.
#pragma once
#include "../error.h"
#include "tables.h"

namespace tl {

inline constexpr int kMaxSymbols = 4;

struct PlanSymbol {
  std::string name;
  int64_t least = 1, most = 1;
};

// factor * symbols[0]**powers[0] * …
struct PlanTerm {
  int64_t factor = 0;
  uint8_t powers[kMaxSymbols] = {};
};

// One integer of the tables: a sum of terms.
struct PlanPatch {
  enum Target : uint8_t { bytes, offset, shape, stride, integer, targets };
  Target target = bytes;
  uint8_t axis = 0;               // of a shape or stride
  uint32_t index = 0;             // of the buffer, value or argument
  uint32_t first = 0, count = 0;  // terms
};

struct PlanSymbols {
  std::vector<PlanSymbol> symbols;
  std::vector<PlanTerm> terms;
  std::vector<PlanPatch> patches;
};

// Whether indices and axes lie within the tables.
bool check_patches(const PlanSymbols& symbols, const PlanTables& tables, Error& error);
// Sets the integers for these numbers, one for each symbol, which must lie in its range.
bool set_symbols(const PlanSymbols& symbols, const int64_t* values, PlanTables& tables,
                 Error& error);
// Whether all that rows name is there, and calls have arguments as their kernels' signatures say.
bool check_references(const PlanTables& tables, Error& error);
// Whether every view lies in its buffer, once that holds.
bool check_sizes(const PlanTables& tables, Error& error);
// Both.
bool check_tables(const PlanTables& tables, Error& error);

}  // namespace tl
