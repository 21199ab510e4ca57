// The cache in twenty lines: a cached function, a dependency, an invalidation.
#include <zoocache/zoocache.h>

#include <cstdio>
#include <map>
#include <string>

int main() {
  std::map<int, std::string> database = {{42, "Ada"}};
  zoocache::Cache cache;
  const auto get_user = cache.cacheable(
      "get_user",
      [&](int id) {
        std::printf("loading %d\n", id);
        return database.at(id);
      },
      zoocache::deps("user:{0}"));

  std::printf("%s\n", get_user(42)->c_str());  // loads
  get_user.visit(42, [](const std::string& name) { std::printf("%s\n", name.c_str()); });
  database[42] = "Grace";
  cache.invalidate("user:42");
  std::printf("%s\n", get_user(42)->c_str());  // loads again
  return *get_user(42) == "Grace" ? 0 : 1;
}
