// Memory of objects that come and go with every load: what was given back last is taken next.
// Thread-safety: the GIL guards everything.
#pragma once

#include <cstddef>
#include <new>

namespace zoocache::python {

// Base of T, which is final and allocated with `new`.
template <class T>
class Pooled {
 public:
  static void* operator new(std::size_t size) {
    if (spare_ == nullptr) return ::operator new(size);
    --spare_count_;
    Spare* taken = spare_;
    spare_ = taken->next;
    return taken;
  }
  static void operator delete(void* memory) noexcept {
    if (spare_count_ == kMostSpare) {
      ::operator delete(memory);
      return;
    }
    ++spare_count_;
    spare_ = new (memory) Spare{spare_};
  }

 private:
  struct Spare {
    Spare* next;
  };
#ifdef __SANITIZE_ADDRESS__
  static constexpr std::size_t kMostSpare = 0;  // else it would not see a use after the end
#else
  static constexpr std::size_t kMostSpare = 64;
#endif
  static inline Spare* spare_ = nullptr;
  static inline std::size_t spare_count_ = 0;
};

}  // namespace zoocache::python
