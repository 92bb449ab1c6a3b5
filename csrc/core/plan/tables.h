// The tables that a plan is: buffers, values (views of buffers), calls and their arguments. They
// hold no address, so they can be rewritten, saved and bound to other memory.
#pragma once
#include <string>
#include <vector>

#include "../array.h"
#include "../kernel.h"

namespace tl {

enum class Role : uint8_t {
  input,      // given at each run
  weight,     // a module's, by its name: read as it is at each run
  constant,   // fixed at capture
  state,      // memory outside the plan that calls write
  output,     // written by the plan, kept for whoever called it
  temporary,  // written and read by calls alone
  kept,       // written by the calls at the start, which follow from weights alone
};
inline constexpr const char* kRoleNames[] = {"input",  "weight",    "constant", "state",
                                             "output", "temporary", "kept"};

struct PlanBuffer {
  Role role = Role::temporary;
  Device device;
  bool written = false;  // by a call
  int64_t bytes = 0;
  int first = -1, last = -1;  // calls that touch it
  int64_t offset = -1;        // temporaries: where they lie in the arena
  uint32_t version = 0;       // of a constant's storage at capture; only a copied one may change
  std::string name;           // weights
  // Its memory, of all but temporaries. An input's values count from its first element, those of
  // others from the start of the storage.
  Array held;
  Array source;  // what a constant was copied from, if that was made before the capture

  std::byte* base() const {
    return held.storage()->data + (role == Role::input ? held.byte_offset() : 0);
  }
};

struct PlanValue {
  int buffer = -1;
  int64_t offset = 0;  // bytes
  View view;           // `data` is set when the plan is bound to memory
};

struct PlanCall {
  const Kernel* kernel;
  size_t first;  // of its arguments
  int n;
};

struct PlanTables {
  std::vector<PlanBuffer> buffers;
  std::vector<PlanValue> values;
  std::vector<PlanCall> calls;
  std::vector<Arg> args;             // of an array, `i` is the number of its value
  std::vector<int> inputs, outputs;  // values
  // So many calls at the start read weights and constants alone, and write what no other call does:
  // they are left out as long as the weights stay as they were.
  size_t once = 0;

  int add_buffer(Role role, Device device, int64_t bytes) {
    PlanBuffer& made = buffers.emplace_back();
    made.role = role;
    made.device = device;
    made.bytes = bytes;
    return static_cast<int>(buffers.size()) - 1;
  }
  bool is_written(const PlanCall& call, int i) const { return call.kernel->written >> i & 1; }
  bool is_read(const PlanCall& call, int i) const { return call.kernel->read >> i & 1; }
};

// First and last call of each buffer, and whether one writes it.
void find_lifetimes(PlanTables& tables);

// Joins calls of `linear` on the same x, two or three at a time, into calls of `linear_several`,
// where weights have one dtype and no call between them touches what they read or write. No bit of
// a result changes. Gives how many calls are gone; lifetimes must be found anew then.
int join_products(PlanTables& tables);

// Gives temporaries their offsets, one arena for each device: those whose lifetimes are disjoint
// share memory, and an elementwise kernel's result lies on an operand that is read for the last
// time. Gives the bytes of the arena of `device`.
int64_t plan_memory(PlanTables& tables, Device device);

}  // namespace tl
