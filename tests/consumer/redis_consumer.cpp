// A program that shares its invalidations through a server, built against an installed copy. No
// server is there: calls load, and what is invalidated is kept.
#include <zoocache/redis.h>
#include <zoocache/zoocache.h>

#include <cstdio>

int main() {
  zoocache::RedisOptions options;
  options.connect_timeout_s = 0.2;
  const zoocache::HomePtr home = zoocache::redis_home("redis://127.0.0.1:1", options);
  zoocache::Cache cache{{.home = home}};
  int loads = 0;
  const auto get = cache.cacheable(
      "get", [&loads](int id) { return id + ++loads; }, zoocache::deps("user:{0}"));
  bool right = *get(1) == 2 && *get(1) == 3;
  try {
    cache.invalidate("user:1");
    right = false;
  } catch (const zoocache::HomeUnreachable&) {
    right = right && *get(1) == 4;
  }
  std::printf("%s\n", right ? "right" : "wrong");
  return right ? 0 : 1;
}
