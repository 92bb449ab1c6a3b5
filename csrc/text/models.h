// Models of tokenizers: from a word to ids.
#pragma once
#include "tables.h"

namespace tl::text {

// Encodes words with one kind of model; keeps its memory between words.
class Model {
 public:
  explicit Model(const Tables& tables);

  // Appends the ids of `word`, which is valid UTF-8. `special`: hidden pieces count.
  void encode(std::string_view word, bool special, std::vector<uint32_t>& ids);

 private:
  struct Symbol {
    uint32_t from, size;     // bytes of the word
    uint32_t value;          // number of the symbol; kNone for unknown
    uint32_t before, after;  // neighbours; kNone at the ends
  };
  struct Candidate {
    uint64_t rank;
    uint32_t at, left, right;  // what the neighbours were: symbols, or sizes in a model of scores
    uint32_t result;
  };
  struct Best {  // of the ways to cut a word up to some place
    double score;
    uint32_t from;  // where the last piece begins; kNone where no piece ends
    bool known;
  };

  void encode_pairs(std::string_view word, bool chars, std::vector<uint32_t>& ids);
  void encode_scores(std::string_view word, std::vector<uint32_t>& ids);
  void encode_unigram(std::string_view word, bool special, std::vector<uint32_t>& ids);
  void append_found(std::string_view word, bool special, const std::vector<Best>& best,
                    std::vector<uint32_t>& ids) const;
  void encode_pieces(std::string_view word, std::vector<uint32_t>& ids);

  void split_bytes(std::string_view word);
  void split_chars(std::string_view word);
  bool add_bytes(std::string_view text);
  void add_symbol(size_t from, size_t size, uint32_t value);
  template <class Rank, class Same>
  void merge(const Rank& rank, const Same& same);
  template <class F>
  void each_symbol(const F& f) const;
  // Appends the ids of the bytes of `text`; without `partly` all or none.
  bool append_bytes(std::string_view text, bool partly, std::vector<uint32_t>& ids) const;

  const Tables& tables_;
  Numbers bytes_;
  uint32_t unknown_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> queue_;
};

}  // namespace tl::text
