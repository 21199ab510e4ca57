// Tells its owner in every child of fork(): what has a thread must not be used there.
//
// In the child neither locks nor threads of the parent can be trusted. `in_child` may read what
// does not change, set atomics and close descriptors; it allocates nothing. Thread-safety:
// everything from any thread. A fork waits for a guard that is being made or removed.
#pragma once

namespace zoocache::redis {

class ForkGuard {
 public:
  ForkGuard(const ForkGuard&) = delete;
  ForkGuard& operator=(const ForkGuard&) = delete;

 protected:
  ForkGuard() = default;
  ~ForkGuard() { unwatch(); }
  void watch();    // from now on
  void unwatch();  // no longer; at the latest at the end of what `in_child` uses

 private:
  virtual void in_child() noexcept = 0;

  class Registry;
  ForkGuard* next_ = nullptr;
  ForkGuard** link_ = nullptr;  // what points here
};

}  // namespace zoocache::redis
