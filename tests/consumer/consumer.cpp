// A program of somebody else's, built against an installed zoocache.
#include <zoocache/zoocache.h>

#include <coroutine>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

struct Point {
  int x = 0;
  double weight = 0;
};

template <>
struct zoocache::Codec<Point> {
  static constexpr std::string_view name = "consumer.Point/1";
  static void encode(const Point& point, std::string& to) {
    zoocache::encode(point.x, to);
    zoocache::encode(point.weight, to);
  }
  static Point decode(zoocache::ByteReader& from) {
    const int x = zoocache::decode<int>(from);
    return {x, zoocache::decode<double>(from)};
  }
};

namespace {

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "consumer: %s\n", what);
  std::exit(1);
}

void plain_functions() {
  zoocache::Cache cache{{.max_entries = 1000}};
  int loads = 0;
  const auto greet = cache.cacheable(
      "greet",
      [&loads](int id, const std::string& name) {
        ++loads;
        return name + " " + std::to_string(id);
      },
      zoocache::deps("user:{0}", "greetings"));

  const std::shared_ptr<const std::string> first = greet(7, "Ada");
  expect(*first == "Ada 7", "the loader's value");
  expect(greet(7, "Ada") == first, "a hit hands out the same value");
  expect(greet.visit(7, "Ada", [](const std::string& text) { return text.size(); }) == 5, "visit");
  expect(loads == 1, "one load");
  cache.invalidate("user:7");
  greet(7, "Ada");
  expect(loads == 2, "an invalidated entry is loaded anew");
  cache.invalidate({"greetings", "other"});
  expect(greet.peek(7, "Ada") == nullptr, "every tag counts");
  expect(greet.explain(7, "Ada").tag == "greetings", "and it is told which");
  try {
    cache.invalidate("not a tag");
    expect(false, "a tag with a space is refused");
  } catch (const zoocache::InvalidTag&) {
    expect(cache.stats().clock == 2, "and nothing was invalidated");
  }
}

void nested_functions_and_options() {
  zoocache::Cache cache;
  zoocache::CacheableOptions<std::vector<int>> options;
  options.bounds.ttl_s = 60;
  options.store_if = [](const std::vector<int>& values) { return !values.empty(); };
  options.size_bytes = [](const std::vector<int>& values) { return values.size() * sizeof(int); };
  const auto range = cache.cacheable(
      "range",
      [](int size) {
        if (size < 0) throw std::out_of_range("a negative size");
        zoocache::add_deps({zoocache::tag("range", size)});
        return std::vector<int>(static_cast<std::size_t>(size), 1);
      },
      zoocache::NoDeps{}, options);
  const auto sum = cache.cacheable("sum", [&](int size) {
    int total = 0;
    for (const int value : *range(size)) total += value;
    return total;
  });
  expect(*sum(4) == 4, "a nested call");
  cache.invalidate("range:4");
  expect(sum.peek(4) == nullptr, "the outer entry depends on the inner one");
  try {
    sum(-1);
    expect(false, "exceptions pass through");
  } catch (const std::out_of_range&) {
    expect(cache.stats().load_errors == 2, "of both loads");
  }
}

// A coroutine that runs at once and answers to nobody.
struct Fire {
  struct promise_type {
    Fire get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

struct Ready {
  int value;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  int await_resume() const noexcept { return value; }
};

void coroutines() {
  zoocache::Cache cache;
  const auto twice = cache.cacheable("twice", [](const zoocache::Load& load, int x) {
    load.add_deps({"twice"});
    return Ready{2 * x};
  });
  int got = 0;
  const auto ask = [&]() -> Fire { got = *co_await twice.get(21); };
  ask();
  expect(got == 42, "an awaited call");
  expect(*twice.peek(21) == 42, "was stored");
  cache.invalidate("twice");
  expect(twice.peek(21) == nullptr, "with its dependencies");
}

// Two caches that keep their values in one place.
void stored_values() {
  const zoocache::Options shared{.home = zoocache::memory_home(),
                                 .storage = zoocache::memory_storage()};
  zoocache::Cache first{shared};
  zoocache::Cache second{shared};
  int loads = 0;
  const auto points = [&loads](zoocache::Cache& cache) {
    zoocache::CacheableOptions<std::map<std::string, std::vector<Point>>> options;
    options.storage = zoocache::StorageUse::kRequired;
    return cache.cacheable(
        "points",
        [&loads](int count, std::string_view name) {
          ++loads;
          const std::vector<Point> made(static_cast<std::size_t>(count), Point{count, 0.5});
          return std::map<std::string, std::vector<Point>>{{std::string(name), made}};
        },
        zoocache::deps("points:{1}"), options);
  };
  points(first)(3, "a");
  expect(points(second)(3, "a")->at("a").at(2).x == 3, "another cache's value");
  expect(loads == 1, "was not loaded again");
  first.invalidate("points:a");
  points(second)(3, "a");
  expect(loads == 2, "until it was invalidated");
}

}  // namespace

int main() {
  plain_functions();
  nested_functions_and_options();
  coroutines();
  stored_values();
  std::puts("consumer: good");
  return 0;
}
