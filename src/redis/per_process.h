// What has a thread and a connection, of which every child of fork() makes its own.
// Thread-safety: everything from any thread.
#pragma once

#include <atomic>
#include <memory>

namespace zoocache::redis {

// `Kind::is_inherited()`: this is a child of fork(), and the object the parent's.
template <class Kind>
class PerProcess {
 public:
  PerProcess() = default;
  ~PerProcess() {
    Kind* const last = current_.load();
    // The parent's locks may be held for good here.
    if (last != nullptr && !last->is_inherited()) delete last;
  }
  PerProcess(const PerProcess&) = delete;
  PerProcess& operator=(const PerProcess&) = delete;

  // nullptr: none was made yet.
  Kind* peek() const noexcept { return current_.load(std::memory_order_acquire); }
  // This process's; `make() -> std::unique_ptr<Kind>`. Without a lock: the thread that held it may
  // not exist in a child of fork().
  template <class Make>
  Kind& get(Make&& make) {
    Kind* known = peek();
    while (known == nullptr || known->is_inherited()) {
      std::unique_ptr<Kind> made = make();
      if (current_.compare_exchange_strong(known, made.get())) return *made.release();
    }
    return *known;
  }

 private:
  std::atomic<Kind*> current_{nullptr};
};

}  // namespace zoocache::redis
