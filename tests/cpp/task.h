// The smallest lazy coroutine that can be awaited, and a gate that it can wait at.
// Thread-safety: a Task by one thread at a time; a Gate by any.
#pragma once

#include <coroutine>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace zoocache::testing {

template <class T>
class Task {
 public:
  struct promise_type {
    std::optional<T> value;
    std::exception_ptr error;
    std::coroutine_handle<> continuation;

    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Resume {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> ended) noexcept {
        const std::coroutine_handle<> next = ended.promise().continuation;
        return next ? next : std::noop_coroutine();
      }
      void await_resume() noexcept {}
    };
    Resume final_suspend() noexcept { return {}; }
    void return_value(T result) { value = std::move(result); }
    void unhandled_exception() { error = std::current_exception(); }
  };

  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiting) noexcept {
    handle_.promise().continuation = awaiting;
    return handle_;
  }
  T await_resume() { return result(); }

  void start() { handle_.resume(); }
  bool done() const { return handle_.done(); }
  // REQUIRES: done(). Throws what the coroutine threw.
  T result() {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return std::move(*handle_.promise().value);
  }

 private:
  std::coroutine_handle<promise_type> handle_;
};

// Coroutines that await it suspend until it is opened, and go on in the thread that opens it.
class Gate {
 public:
  struct Awaiter {
    Gate& gate;
    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> awaiting) {
      const std::lock_guard lock(gate.mutex_);
      if (gate.open_) return false;
      gate.waiting_.push_back(awaiting);
      return true;
    }
    void await_resume() const noexcept {}
  };
  Awaiter operator co_await() { return {*this}; }

  void open() {
    std::vector<std::coroutine_handle<>> waiting;
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
      waiting.swap(waiting_);
    }
    for (const std::coroutine_handle<> one : waiting) one.resume();
  }
  std::size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }

 private:
  std::mutex mutex_;  // guards everything below
  bool open_ = false;
  std::vector<std::coroutine_handle<>> waiting_;
};

}  // namespace zoocache::testing
