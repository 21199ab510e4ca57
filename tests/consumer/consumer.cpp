// A program of somebody else's, built against an installed zoocache.
#include <zoocache/zoocache.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace {

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "consumer: %s\n", what);
  std::exit(1);
}

}  // namespace

int main() {
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
  try {
    cache.invalidate("not a tag");
    expect(false, "a tag with a space is refused");
  } catch (const zoocache::InvalidTag&) {
    expect(cache.stats().clock == 2, "and nothing was invalidated");
  }
  std::puts("consumer: good");
  return 0;
}
