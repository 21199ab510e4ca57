// A thread that is cancelled is unwound, and what waits for a storage cannot be: the cancellation
// waits until the scope is over. Thread-safety: of its own thread.
#pragma once

#include <pthread.h>

namespace zoocache::detail {

class Uncancelled {
 public:
  Uncancelled() { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~Uncancelled() { pthread_setcancelstate(before_, nullptr); }
  Uncancelled(const Uncancelled&) = delete;
  Uncancelled& operator=(const Uncancelled&) = delete;

 private:
  int before_ = 0;
};

}  // namespace zoocache::detail
