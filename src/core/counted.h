// What ExclusivePolicy has in place of std::shared_ptr: the count is in the object, and changing it
// is no atomic operation.
// Thread-safety: none; all who refer to an object share one lock (CPython's GIL).
#pragma once

#include <cstddef>
#include <utility>

namespace zoocache::core {

// Base of what is counted. Under a policy whose pointers count for themselves it is not used.
class UseCount {
 protected:
  UseCount() = default;
  ~UseCount() = default;

 private:
  template <class T>
  friend class Counted;
  std::size_t uses_ = 0;
};

// REQUIRES: T derives from UseCount; it is final or its destructor is virtual.
template <class T>
class Counted {
 public:
  Counted() = default;
  Counted(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): as std::shared_ptr
  explicit Counted(T* object) noexcept : object_(object) { hold(); }
  Counted(const Counted& other) noexcept : object_(other.object_) { hold(); }
  Counted(Counted&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  // NOLINTBEGIN(google-explicit-constructor): as std::shared_ptr
  template <class Derived>
  Counted(Counted<Derived>&& other) noexcept : object_(other.release()) {}
  template <class Derived>
  Counted(const Counted<Derived>& other) noexcept : object_(other.get()) {
    hold();
  }
  // NOLINTEND(google-explicit-constructor)
  ~Counted() { let_go(object_); }
  Counted& operator=(Counted other) noexcept {
    swap(other);
    return *this;
  }

  T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  bool operator==(const Counted& other) const noexcept { return object_ == other.object_; }
  bool operator==(std::nullptr_t) const noexcept { return object_ == nullptr; }
  void swap(Counted& other) noexcept { std::swap(object_, other.object_); }
  void reset() noexcept { let_go(std::exchange(object_, nullptr)); }
  // Gives the use away.
  T* release() noexcept { return std::exchange(object_, nullptr); }

 private:
  void hold() noexcept {
    if (object_ != nullptr) ++object_->uses_;
  }
  static void let_go(T* object) noexcept {
    if (object != nullptr && --object->uses_ == 0) delete object;
  }

  T* object_ = nullptr;
};

}  // namespace zoocache::core
