// What calls of an op come to, kept for each signature of their arguments. A signature is the
// shapes, strides and dtypes of the tensors and the values of all else; for the ops that say so
// (`op(cached=True)`) it decides which other ops the body calls, what `.out` gives and what the
// kernel gets. The second call of a signature is traced, those after it repeat the
// steps without Python.
#pragma once
#include <memory>

#include "dispatch.h"

namespace tl::bind {

// Of the arguments of a call: words that are equal where the calls take one course.
class Signature {
 public:
  bool read(const CallerData& c, const Values& v);  // false: arguments that have none
  const uint64_t* begin() const { return words_; }
  size_t size() const { return static_cast<size_t>(n_); }
  uint64_t hash() const;
  PyObject* const* held() const { return held_; }  // the objects that words stand for
  int holds() const { return holds_; }

 private:
  static constexpr int kMostWords = 96, kMostHeld = 16;
  bool add(PyObject* x, int depth);
  bool add_tensor(PyObject* x);
  bool add_word(uint64_t word) { return n_ < kMostWords && (words_[n_++] = word, true); }
  bool add_object(PyObject* x);
  uint64_t words_[kMostWords];
  PyObject* held_[kMostHeld];
  PyObject* tensors_[kMostWords];
  int n_ = 0, holds_ = 0, count_ = 0;  // words, objects, tensors
};

// Whether it is a number, a text or the like: what else a body makes may hold tensors.
bool holds_no_tensor(PyObject* x);

// A result whose place in memory is known before it is computed, as `.out` says.
constexpr int kMostResults = 8;
struct Results {
  nb::object each[kMostResults], all = nb::none();
  int count = 0;
};
nb::object named(const CallerData& c, Results& results);

// Where a value comes from: an argument, a result or that of a step (or a part of it, or a view of
// it), a constant, or a list or tuple of such.
struct Operand {
  int slot = -1, part = -1;
  bool is_view = false;
  View view;  // its data is counted from that of what it is a view of
  nb::object constant;
  PyTypeObject* sequence = nullptr;
  std::vector<Operand> items;
};

constexpr int kMostSteps = 32;
constexpr int kFirstOutput = kMaxParameters, kFirstStep = kFirstOutput + kMostResults;

struct Step {
  CallerData* caller;
  nb::object self, kwnames;
  Py_ssize_t given;
  std::vector<Operand> args;
  std::vector<int64_t> sizes;  // of its results: the body may ask for those that values decide
};

// The axes of the tensors that an op gave; false where it gave anything else.
bool sizes_of(PyObject* out, std::vector<int64_t>& sizes);

// What a call of one signature comes to.
struct Recipe {
  explicit Recipe(const Signature& s) : words(s.begin(), s.begin() + s.size()), made(epoch) {
    for (int i = 0; i < s.holds(); ++i) held.push_back(nb::borrow(s.held()[i]));
  }
  bool is_for(const Signature& s) const {
    if (made != epoch || words.size() != s.size()) return false;
    for (size_t i = 0; i < words.size(); ++i)
      if (words[i] != s.begin()[i]) return false;
    return true;
  }
  static uint64_t epoch;  // of the callers: an op may get another kernel when it is in use
  std::vector<uint64_t> words;
  std::vector<nb::object> held;
  uint64_t made;
  bool usable = false, several = false, kernel = false, view = false;
  bool copy = false;          // the view is one of a row-major copy, where strides allow none
  std::vector<View> outputs;  // of views: their data is counted from the first argument's
  std::vector<Step> steps;
  std::vector<Operand> args;
  Operand result;
};

class CallCache {
 public:
  const std::shared_ptr<Recipe>* find(const Signature& s) const {
    for (const std::shared_ptr<Recipe>& each : at_[s.hash() >> 61])
      if (each && each->is_for(s)) return &each;
    return nullptr;
  }
  // Whether a signature came before: shapes that change with each call are not worth a trace.
  bool is_second(const Signature& s) {
    const uint64_t hash = s.hash();
    uint64_t& last = seen_[hash >> 60];
    const bool second = last == hash;
    last = hash;
    return second;
  }
  void put(const Signature& s, std::shared_ptr<Recipe> recipe) {
    std::shared_ptr<Recipe>(&set)[kWays] = at_[s.hash() >> 61];
    int place = 0;
    while (place < kWays && set[place] && set[place]->made == Recipe::epoch) ++place;
    if (place == kWays) place = next_++ % kWays;
    set[place].swap(recipe);  // what was there dies last: that may run Python code
  }

 private:
  static constexpr int kWays = 4;
  std::shared_ptr<Recipe> at_[8][kWays];
  uint64_t seen_[16] = {};
  unsigned next_ = 0;
};

// A call and what is known of its signature.
struct CachedCall {
  Signature signature;
  std::shared_ptr<Recipe> recipe;  // null: to be traced
  // False where Python has to be asked: for other arguments, while a plan is captured or calls are
  // watched, and after a trace that could not be followed.
  bool find(const CallerData& c, const Values& v);
};

// What the calls of the body came to; nothing where one of them failed: Python is asked then.
nb::object repeat(const CallerData& c, const Values& v, const Recipe& recipe);

// Follows a call while it lives; all ops that this thread calls outside other ops are its steps.
class Trace {
 public:
  Trace(const Values& v, const Signature& signature);
  ~Trace();
  void outputs(const Results& results);
  void kernel(PyObject* const* args, int n);
  void views(const CallerData& c, PyObject* x, PyObject* result);
  void step(CallerData& c, PyObject* self, PyObject* const* args, Py_ssize_t given,
            PyObject* kwnames, PyObject* out);
  // Notes the recipe, good or not.
  void keep(const CallerData& c, const Signature& signature, PyObject* result);
  void refuse() { good_ = false; }

 private:
  struct Seen {
    PyObject* x;
    int slot, part;
    uint32_t version;
  };
  void see(PyObject* x, int slot);
  bool find(PyObject* x, Operand& operand) const;
  bool find_view(PyObject* x, Operand& operand) const;
  bool describe(PyObject* x, Operand& operand, bool result) const;
  bool unchanged() const;
  std::shared_ptr<Recipe> recipe_;
  std::vector<Seen> seen_;
  std::vector<nb::object> alive_;
  Trace* before_;
  bool good_ = true, enabled_;
  bool shared_ = false;  // arguments have memory in common, which others need not
};

}  // namespace tl::bind
