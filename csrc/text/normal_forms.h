// Unicode's normalisation forms, from tables that a tokenizer's file carries when it needs them.
#pragma once
#include <string>

#include "tables.h"

namespace tl::text {

// The section `forms`: five counts (canonical, compatible, compositions, classes, pool), then of
// the canonical decompositions the code points and where each ends in the pool, the same of the
// compatible ones, triples (first, second, both) of compositions, triples (first, last, class) of
// combining classes, and the pool of code points. All are sorted.
class NormalForms {
 public:
  explicit NormalForms(const Tables& tables) : data_(tables.numbers(Section::forms)) {}

  // Whether the section has the size that its counts say, or is empty.
  bool whole() const;

  // Valid UTF-8 in a form: NFC, NFD, NFKC or NFKD, by number.
  void apply(uint32_t form, std::string& text) const;

 private:
  void decompose(uint32_t code, bool compatible, std::vector<uint32_t>& out) const;
  void order(std::vector<uint32_t>& codes) const;
  void compose(std::vector<uint32_t>& codes) const;
  uint32_t combining(uint32_t code) const;
  uint32_t composed(uint32_t first, uint32_t second) const;
  size_t lower_bound(size_t from, size_t count, size_t width, uint32_t code) const;

  Numbers data_;
};

}  // namespace tl::text
