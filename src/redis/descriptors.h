// The descriptors that an event loop waits for, asked of the kernel: sockets, timers, wake-ups, and
// the epoll that joins them. Nobody else can name them all, and a child of fork() must close them.
//
//   epoll 7  <-- /proc/self/fdinfo/7 says "tfd: 8 ...", "tfd: 9 ...", "tfd: 12 ..."
//
// The epoll is found by a descriptor that is registered there: `marker`. Without /proc nothing is
// found, and a child keeps the descriptors until it ends or runs another program.
// Thread-safety: functions without locks; `close_all` may be called in a child of fork().
#pragma once

namespace zoocache::redis {

class Descriptors {
 public:
  Descriptors() = default;
  // REQUIRES: `marker` is registered with the epoll in question.
  explicit Descriptors(int marker);

  bool is_known() const noexcept { return epoll_ >= 0; }
  // Programs that this process runs get none of them.
  void close_on_exec() const;
  // REQUIRES: this is a child of fork(), and nothing uses the loop any more.
  void close_all() const;
  // How many there are, the epoll included.
  int count() const;

 private:
  int epoll_ = -1;
};

}  // namespace zoocache::redis
