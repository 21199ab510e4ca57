// Replays a trace through the engine and through plain policies and prints the hits of each.
//
// Usage: eviction_replay ENTRIES... < trace. The trace is one key a line; each argument is a size
// of the cache. Prints "policy entries hits" a line; the policies are s3fifo (the engine, by its
// public interface), fifo, lru, sieve, opt.
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "policies.h"
#include "zoocache/zoocache.h"

namespace bench {
namespace {

Trace read_trace(std::istream& input) {
  Trace trace;
  TraceKey key = 0;
  while (input >> key) trace.push_back(key);
  return trace;
}

template <class Policy>
std::size_t hits_of(Policy policy, const Trace& trace) {
  std::size_t hits = 0;
  for (const TraceKey key : trace) hits += policy.request(key) ? 1U : 0U;
  return hits;
}

std::size_t engine_hits(std::size_t entries, const Trace& trace) {
  zoocache::Cache cache;
  zoocache::CacheableOptions<TraceKey> options;
  options.bounds.max_entries = entries;
  const auto load = [](TraceKey key) { return key; };
  const auto cached = cache.cacheable("trace", load, zoocache::NoDeps{}, options);
  for (const TraceKey key : trace) cached.get(key);
  return cached.stats().hits;
}

void replay(std::size_t entries, const Trace& trace, const std::vector<std::size_t>& next) {
  const auto print = [&](const char* policy, std::size_t hits) {
    std::cout << policy << ' ' << entries << ' ' << hits << '\n';
  };
  print("s3fifo", engine_hits(entries, trace));
  print("fifo", hits_of(Fifo(entries), trace));
  print("lru", hits_of(Lru(entries), trace));
  print("sieve", hits_of(Sieve(entries), trace));
  print("opt", hits_of(Opt(entries, next), trace));
}

int run(int count, char** arguments) {
  std::ios::sync_with_stdio(false);
  const Trace trace = read_trace(std::cin);
  const std::vector<std::size_t> next = Opt::next_requests(trace);
  for (int at = 1; at < count; ++at) replay(std::stoull(arguments[at]), trace, next);
  return 0;
}

}  // namespace
}  // namespace bench

int main(int count, char** arguments) {
  try {
    return bench::run(count, arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "eviction_replay: %s\n", error.what());
    return 1;
  }
}
