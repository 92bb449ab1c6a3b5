#include "plan.h"

namespace tl {

void Plan::add(const Kernel& kernel, const Arg* args, int n) {
  calls_.push_back({&kernel, args_.size(), n});
  for (int i = 0; i < n; ++i) {
    Arg arg = args[i];
    if (arg.kind == Arg::array) {
      arrays_.push_back(*static_cast<const Array*>(arg.a));
      arg.a = &arrays_.back();
    }
    args_.push_back(arg);
  }
}

const char* Plan::run(const Kernel** failed) {
  for (Array& array : arrays_) array.sync();
  for (const Call& c : calls_) {
    if (const char* error = run_one(c)) {
      *failed = c.kernel;
      return error;
    }
  }
  return nullptr;
}

Plan*& recording() {
  static thread_local Plan* current = nullptr;
  return current;
}

}  // namespace tl
