// The home of the processes of several machines, and the second level of their values: a Redis or
// Valkey server that they share.
//
//   zoocache::Cache cache{{.home = zoocache::redis_home("redis://10.0.0.7")}};
//
// Promises: in the process that invalidates, after invalidate() has returned no call that starts
// later returns a value that was loaded before it. In every other process the same holds a network
// delay later, and never later than `lease_s` after invalidate() has returned, whatever happens to
// messages, connections, processes and the server. A server that lost data empties the caches.
// A process that cannot reach the server goes on: values are served for up to `lease_s`, and after
// eight times that every call loads. An invalidation of more than 10,000 tags, or of 4 MiB of them,
// at once is one of everything. Link zoocache::redis.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <zoocache/home.h>
#include <zoocache/storage.h>

namespace zoocache {

// What invalidate() does where the server does not acknowledge it. It takes effect in its own
// process, is kept in the process's memory and is tried again until it is acknowledged, either way.
enum class OnUnreachable {
  kRaise,   // throws HomeUnreachable
  kJournal  // returns, and the epoch it returns is 0
};

// What a process has to do with a log.
enum class RedisMode {
  kFull,  // it caches, and hears of what others declare
  // For processes that declare changes and cache nothing, such as jobs: they neither subscribe nor
  // register, so that nobody waits for them, and cost the server nothing while they have nothing to
  // say. Every call of a cached function loads, still once for callers that come together.
  kWriter
};

// Options of redis_home().
struct RedisOptions {
  // The namespace: the caches of one prefix share a log. 1 to 64 of A-Z a-z 0-9 . _ -
  std::string prefix = "zoocache";
  // How long, in seconds, an invalidation may take to reach a process that hears no messages; the
  // same in all processes. Each asks the server every third of it. Range 0.3 .. 60.
  double lease_s = 2;
  // How long a call waits for the server, in seconds; `timeout=` in the URL wins. Range 0.001
  // .. 60.
  double command_timeout_s = 0.25;
  // How long a connection may take, and the first call waits, in seconds; `connect_timeout=` in the
  // URL wins. Range 0.001 .. 60.
  double connect_timeout_s = 1;
  // The most different tags that the log remembers; the oldest are forgotten, which empties caches
  // that have not heard of them. The same in all processes. Range 2^4 .. 2^24.
  std::size_t max_log_tags = 1'000'000;
  OnUnreachable on_unreachable = OnUnreachable::kRaise;  // what invalidate() does then
  // As LmdbOptions::max_commit_time_s.
  double max_commit_time_s = 60;
  RedisMode mode = RedisMode::kFull;  // whether this process caches
  // How many replicas must have heard of an invalidation before it returns. If they have not within
  // the command's time-out, invalidate() does as on_unreachable says, and for another reason: the
  // server has acknowledged it, every process hears of it, and it is not tried again; but a replica
  // that takes over now may not know of it. Range 0 .. 100.
  std::size_t replicas_ack = 0;
  // How often, in seconds, this process answers tools that ask through the server what is in its
  // memory: names of functions, tags and counts, no arguments and no values. 0: never. Range 0 ..
  // 3,600.
  double inspect_interval_s = 0.5;
  // Use a server that evicts keys without a time to live (maxmemory-policy allkeys-*), too. When it
  // evicts the log, all caches are emptied.
  bool allow_eviction = false;
};

// `url`: redis://[user[:password]@]host[:port][/database], rediss:// (TLS), redis+unix:///path, or
// redis+sentinel://host[:port],host[:port]/primary[/database].
// Waits for the server for up to twice connect_timeout_s; one that cannot be reached is no error,
// but one that can be and does not fit is. Throws InvalidOption for a URL or options out of range;
// HomeUnreachable if the server refuses the user, the password or the certificate does not fit, it
// is older than Redis 7.0, is a replica, or evicts any key. Thread-safe.
HomePtr redis_home(const std::string& url, const RedisOptions& options = {});

// Options of redis_storage().
struct RedisStorageOptions {
  // As RedisOptions::prefix: the caches of one prefix share values.
  std::string prefix = "zoocache";
  // As in RedisOptions. A call that finds the server silent waits once; then values are loaded as
  // if nothing were stored, until it answers.
  double command_timeout_s = 0.25;
  double connect_timeout_s = 1;  // as in RedisOptions
  // How long, in seconds, the server keeps an entry that has no time to live of its own. Range 1 ..
  // 315,360,000 (ten years).
  double ttl_s = 7 * 24 * 3600;
  // The largest value, encoded and before it is compressed. Range 1 .. 2^28. A large one on a slow
  // network may need a longer command_timeout_s.
  std::size_t max_value_bytes = std::size_t{1} << 24;
  // How long, in seconds, others wait for a load whose process is dead or cannot reach the server.
  // Range 0.1 .. 60.
  double claim_s = 2;
  // Entries are signed by the first of them and must be by one of them (HMAC-SHA256): who can write
  // to the store and has no secret cannot make values up. 16 bytes or more, drawn at random; the
  // same for everybody who shares the values. For a new one: first as the last everywhere, then as
  // the first. None: whoever can write there is trusted.
  std::vector<std::string> secrets = {};
};

// Values that outlast a process, for the processes of several machines, on the server that
// redis_home names; use it with that home. `url`: as there. Connects when it is first used; a
// server that cannot be reached is no error. When the server's memory is full, values are returned
// and not stored; with a policy volatile-*, it makes room. Throws InvalidOption. Thread-safe.
StoragePtr redis_storage(const std::string& url, const RedisStorageOptions& options = {});

}  // namespace zoocache
