// A coroutine loader: two callers await one key, one load answers both.
#include <zoocache/zoocache.h>

#include <coroutine>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>

namespace {

// The smallest lazy coroutine that can be awaited; programs bring their own.
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
  T await_resume() {
    if (handle_.promise().error) std::rethrow_exception(handle_.promise().error);
    return std::move(*handle_.promise().value);
  }
  void start() { handle_.resume(); }
  bool done() const { return handle_.done(); }

 private:
  std::coroutine_handle<promise_type> handle_;
};

// Something slow that ends when the program says so.
struct Answer {
  std::coroutine_handle<> waiting;
  std::string text;

  struct Awaiter {
    Answer* answer;
    bool await_ready() const noexcept { return !answer->text.empty(); }
    void await_suspend(std::coroutine_handle<> awaiting) noexcept { answer->waiting = awaiting; }
    std::string await_resume() const { return answer->text; }
  };
  Awaiter when_known() { return {this}; }
};

}  // namespace

int main() {
  zoocache::Cache cache;
  Answer answer;
  int loads = 0;
  const auto orders =
      cache.cacheable("orders", [&](zoocache::Load load, int id) -> Task<std::string> {
        ++loads;
        const std::string text = co_await answer.when_known();
        load.add_deps({"order:" + std::to_string(id)});
        co_return text;
      });
  const auto ask = [&]() -> Task<int> {
    const auto order = co_await orders.get(7);
    std::printf("got %s\n", order->c_str());
    co_return 0;
  };

  Task<int> first = ask();
  Task<int> second = ask();
  first.start();   // leads, and suspends in the loader
  second.start();  // follows
  answer.text = "three lamps";
  answer.waiting.resume();
  std::printf("%d load\n", loads);
  cache.invalidate("order:7");
  ask().start();
  return first.done() && second.done() && loads == 2 ? 0 : 1;
}
