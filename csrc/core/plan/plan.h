// A plan: its tables, bound to memory, run on the thread pool without Python.
#pragma once
#include <atomic>
#include <mutex>

#include "../error.h"
#include "symbols.h"

namespace tl {

// Memory of temporaries. Plans that share one run one after the other.
struct Arena {
  std::atomic<int64_t> plans{0};
  std::mutex running;
  std::vector<Array> memory;  // one for each device
  uint32_t forks = 0;         // how often it was made anew in the child of a fork
};

// A plan's share of an arena; a new one where none is given.
class SharedArena {
 public:
  explicit SharedArena(Arena* arena = nullptr);
  SharedArena(const SharedArena& other) : SharedArena(other.arena_) {}
  SharedArena& operator=(const SharedArena&) = delete;
  ~SharedArena();
  Arena* operator->() const { return arena_; }
  Arena* get() const { return arena_; }

 private:
  Arena* arena_;
};

class Plan {
 public:
  explicit Plan(PlanTables tables, Arena* arena = nullptr);
  Plan(PlanTables tables, PlanSymbols symbols, Arena* arena);

  // The sizes that the next runs are of. A plan whose numbers do not fit says so and keeps none.
  bool set(const std::vector<int64_t>& values, Error& error);
  const PlanSymbols& symbols() const { return symbols_; }
  // Gives a buffer of any role but input and temporary its memory.
  void hold(int buffer, Array memory) {
    tables_.buffers[buffer].held = std::move(memory);
    kept_ = false;
    left_out_.clear();
  }

  // Lets go of what a caller gave or got: `call` takes and makes it anew, `run` has to be given it.
  void release();

  // Runs all calls in order on the memory that the buffers hold.
  bool run(Error& error);
  // The same on other inputs, of the examples' dtypes, shapes and strides. What is written for the
  // caller goes to new memory; `results` are arrays of the outputs.
  bool call(const std::vector<const Array*>& inputs, std::vector<Array>& results, Error& error);
  // One run, and how many seconds each call took.
  bool profile(std::vector<double>& seconds, Error& error);

  const PlanTables& tables() const { return tables_; }
  Arena* arena() const { return arena_.get(); }
  int64_t arena_bytes() const;
  // Whether something that was taken for a constant has been written since.
  bool stale() const;
  // These of the calls that are made once need not run while weights stay as they are: a plan that
  // shares the memory that they write has made them.
  void leave_out(std::vector<bool> calls);
  const std::vector<bool>& left_out() const { return left_out_; }
  bool read_weights = false;  // at capture; a change of them asks for another plan

 private:
  void plan_arenas();
  bool bind(Error& error);
  bool prepare(Error& error);
  bool run_calls(Error& error, double* seconds);
  bool weights_changed();
  bool find_weights(std::vector<std::pair<std::byte*, uint32_t>>& seen) const;
  bool take_inputs(const std::vector<const Array*>& inputs, Error& error);
  bool new_outputs(Error& error);

  PlanTables tables_;
  PlanSymbols symbols_;
  std::vector<int64_t> sizes_;     // of the symbols, as set last
  std::vector<Arg> args_;          // as kernels take them
  std::vector<std::byte*> bases_;  // of the buffers, as last bound
  // Where the weights of the first calls lay and their versions, when those ran last; whether they
  // did.
  std::vector<std::pair<std::byte*, uint32_t>> seen_;
  bool kept_ = false;
  std::vector<bool> left_out_;   // by others, until a weight changes
  std::vector<Device> devices_;  // of the arenas
  std::vector<int64_t> arena_bytes_;
  SharedArena arena_;
  uint32_t forks_ = 0;  // of the arena, as last seen
};

}  // namespace tl
