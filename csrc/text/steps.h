// What is done to text before a model sees it, and to tokens when they become text: lists of steps.
#pragma once
#include <string>

#include "pattern.h"

namespace tl::text {

// A step is an operation and its operands, all u32; texts, classes and programs go by number.
enum class Step : uint32_t {
  // Texts
  form,      // number                    NFC, NFD, NFKC, NFKD
  map,       // first count               characters by rows of `map_codes`
  surround,  // class keep before after   each character of a class: before, itself if kept, after
  strip,     // class left right          characters of a class at the ends
  replace,   // program text              each match
  prepend,  // text bits                 1: only after an added token or at the start, 2: to no text
  charsmap,  // program                   SentencePiece's map, by matches of the program
  // Pieces of texts
  cut,    // program kept inverted     at each match
  spell,  // text prefix               spaces become the text; with prefix it begins each piece
  // Tokens
  wordpiece,  // text cleanup             tokens that begin with the text continue a word
  metaspace,  // text drops               the text is a space, or nothing at the start
  suffix,     // text                     the text ends a word
  byte_level,
  byte_fallback,
  fuse,
  replace_token,  // program text
  strip_token,    // text first last      up to so many of a character at the ends
  spaced,         //                      joined by spaces
  end_of_word,    // text class           the text is a space; the class is stripped off the ends
  count,
};

// The words that a step takes.
size_t step_width(Step step);

// What becomes of what a pattern matches.
enum class Behavior : uint32_t { removed, isolated, with_previous, with_next, contiguous, count };

struct Span {
  size_t from, to;
};

// A text and its pieces.
struct Pieces {
  std::string text;
  std::vector<Span> spans;
};

// A part of the section `steps`.
struct Steps {
  Numbers code;
  size_t from, to;
};

// nullptr, or what is wrong with the steps.
const char* check_steps(const Tables& tables, const std::vector<bool>& programs);

// The list of steps: 0 before added tokens are looked for, 1 between, 2 cutting, 3 decoding.
Steps steps_of(const Tables& tables, int which);

void normalize(const Tables& tables, Matcher& matcher, Steps steps, bool after_token,
               std::string& text);
void cut(const Tables& tables, Matcher& matcher, Steps steps, Pieces& pieces);
std::string join_tokens(const Tables& tables, Matcher& matcher, Steps steps,
                        std::vector<std::string>& tokens);

// `text` without the spaces that transformers takes out of decoded English. `token` is the
// decoder's own list, which joins one thing more.
void clean_up(std::string& text, bool token);

}  // namespace tl::text
