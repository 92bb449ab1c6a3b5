// Capture: the kernel calls of one thread as tables. It tells what a value depends on, so that
// nothing is fixed in a plan that a later run would have otherwise.
#pragma once
#include <unordered_map>

#include "../error.h"
#include "tables.h"

namespace tl {

// All bytes of an array's storage, and a copy of them; not ok() without memory.
Array bytes_of_storage(const Array& x);
Array copy_of(const Array& bytes);

class Capture {
 public:
  // `saves`: memory outside is copied before a call writes it, for `restore`.
  explicit Capture(bool saves = false);
  ~Capture();
  Capture(const Capture&) = delete;

  // Before the start: what calls are given from outside. Arrays that share memory are refused,
  // unless they are one view.
  bool add_input(const Array& x, Error& error);
  void add_weight(const Array& x, const char* name);
  void add_state(const Array& x);

  // The calls of this thread are recorded from start to stop. False: others are already.
  bool start();
  void stop();

  // Adds a call that is about to be made: constants are copied before it can change them.
  bool before(const Kernel& kernel, const Arg* args, int n, Error& error);
  void undo();  // the kernel refused
  // Gives memory outside what it held before a call wrote it first.
  void restore();
  // Refuses to read the value of what depends on an input or a state.
  bool may_read(const Array& x, const char* where, Error& error);
  bool depends_on_input(const Array& x) { return taint_of(x) & on_input; }
  // The memory is lent: from now on it may change in ways that are not recorded.
  bool lend(const Array& x, const char* where, Error& error);

  // The tables of all calls, of which these arrays are the results.
  bool finish(const std::vector<const Array*>& outputs, PlanTables& tables, Error& error);

  // Calls whose results depend on an input are recorded, but not made: nothing may read these.
  bool dry = false;
  bool skips() const { return dry && last_on_input_; }  // the call that `before` was told of last

  const char* op = nullptr;   // whose call is running, for errors
  bool read_weights = false;  // a value that depends on a weight was read

 private:
  enum Taint : uint8_t { on_input = 1, on_weight = 2 };
  struct Source {     // what a storage is to the capture
    int buffer = -1;  // where its elements are now
    bool lent = false;
    bool by_host = false;  // its elements, or some, were not written by a call
  };
  Source* find(const Array& x);
  Source& known(const Array& x);
  int external(const Array& x, Role role);
  int reading(const Array& x);
  int writing(const Array& x, bool whole, uint8_t taint, const char* where, Error& error);
  int writing_outside(const Array& x, Error& error);
  int snapshot(const Array& x, Source& source);
  int temporary_from(int constant);
  int64_t value(int buffer, const Array& x);
  uint8_t taint_of(const Array& x);
  bool check_reads(Error& error);
  bool check_inputs(Error& error);
  bool save(const Array& x, Error& error);
  bool fix_constants(Error& error);

  PlanTables tables_;
  std::vector<uint8_t> taint_;                        // of each buffer
  std::unordered_map<uint64_t, Source> made_;         // by Storage::made
  std::unordered_map<const Storage*, Source> given_;  // all others
  std::unordered_map<uint64_t, int> same_values_;     // by a hash
  struct Read {
    int buffer;
    size_t before;  // this call
    const char* where;
  };
  struct Saved {
    Array x, bytes;
  };
  std::vector<Saved> saved_;  // memory outside, before it was first written
  std::vector<Read> reads_;   // of values by the host
  const uint64_t serial_;
  const bool saves_;
  bool last_on_input_ = false;
  bool late_state_ = false;  // memory was found to be a state after it had been read
};

// What this thread's calls are recorded by, or null.
Capture* current_capture();
inline Capture* recording() { return captures_running() ? current_capture() : nullptr; }

}  // namespace tl
