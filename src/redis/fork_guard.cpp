#include "redis/fork_guard.h"

#include <pthread.h>

#include <mutex>

namespace zoocache::redis {

class ForkGuard::Registry {
 public:
  static Registry& instance() {
    static auto* const registry = new Registry;  // outlives whatever uses it at exit
    return *registry;
  }

  void add(ForkGuard& guard) {
    const std::lock_guard lock(mutex_);
    guard.next_ = first_;
    guard.link_ = &first_;
    if (first_ != nullptr) first_->link_ = &guard.next_;
    first_ = &guard;
  }
  void remove(ForkGuard& guard) {
    const std::lock_guard lock(mutex_);
    if (guard.link_ == nullptr) return;
    *guard.link_ = guard.next_;
    if (guard.next_ != nullptr) guard.next_->link_ = guard.link_;
    guard.link_ = nullptr;
  }

 private:
  Registry() { pthread_atfork(&before, &in_parent, &in_child); }

  static void before() { instance().mutex_.lock(); }
  static void in_parent() { instance().mutex_.unlock(); }
  static void in_child() {
    Registry& self = instance();
    while (self.first_ != nullptr) {
      ForkGuard& guard = *self.first_;
      self.first_ = guard.next_;
      guard.link_ = nullptr;
      guard.in_child();
    }
    self.mutex_.unlock();
  }

  std::mutex mutex_;
  ForkGuard* first_ = nullptr;
};

void ForkGuard::watch() { Registry::instance().add(*this); }
void ForkGuard::unwatch() { Registry::instance().remove(*this); }

}  // namespace zoocache::redis
