// What every second level has to hold, for each of them. One of another kind joins by one line at
// the end.
#include <gtest/gtest.h>
#include <zoocache/errors.h>
#include <zoocache/lmdb.h>
#include <zoocache/storage.h>
#ifdef ZOOCACHE_HAS_REDIS
#include <zoocache/redis.h>
#endif

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/second_level.h"
#include "seed.h"
#include "temporary_folder.h"
#ifdef ZOOCACHE_HAS_REDIS
#include "redis_server.h"
#endif

namespace zoocache::testing {
namespace {

using core::SeenEntry;
using core::StoredValue;
using Kind = core::SecondLevel::Claim::Kind;
using Waited = core::SecondLevel::Waited;
using namespace std::chrono_literals;

struct Place {
  TemporaryFolder folder;
  StoragePtr storage;
  StoragePtr same;  // made for the same place once more, where that is possible
};
using MakePlace = std::function<std::unique_ptr<Place>()>;

class Levels : public ::testing::TestWithParam<std::pair<std::string, MakePlace>> {
 protected:
  core::SecondLevel& level() { return *first_; }
  core::SecondLevel& other() { return *second_; }  // another cache's connection

 private:
  const std::unique_ptr<Place> place_ = GetParam().second();
  const std::shared_ptr<core::SecondLevel> first_ = place_->storage->connect();
  const std::shared_ptr<core::SecondLevel> second_ = place_->same->connect();
};

StoredValue value_of(const std::string& payload, core::Epoch born = 1) {
  StoredValue value;
  value.generation = 7;
  value.born = born;
  value.dependencies = {"user:1", "org"};
  value.payload = payload;
  return value;
}

std::string text_of(const std::optional<StoredValue>& value) {
  return value ? value->payload : "(none)";
}

TEST_P(Levels, AValueComesBackAsItWas) {
  EXPECT_FALSE(level().get("key"));
  StoredValue value;
  value.generation = ~std::uint64_t{0};
  value.born = 1234567890123;
  value.dependencies = {"a", std::string(16'384, 'x'), "", std::string("\0\xFF", 2)};
  value.payload = std::string("pay\0load", 8);
  level().put("key", 0, value);
  const std::optional<StoredValue> there = other().get("key");
  ASSERT_TRUE(there);
  EXPECT_EQ(there->generation, value.generation);
  EXPECT_EQ(there->born, value.born);
  EXPECT_EQ(there->dependencies, value.dependencies);
  EXPECT_EQ(there->payload, value.payload);
  EXPECT_EQ(there->lives_ns, 0);
  EXPECT_FALSE(level().get("ke"));
  EXPECT_FALSE(level().get("key2"));
}

TEST_P(Levels, TheLastOneCounts) {
  for (int count = 0; count < 50; ++count) {
    level().put("key", 0, value_of("value " + std::to_string(count)));
    EXPECT_EQ(text_of(other().get("key")), "value " + std::to_string(count));
  }
}

TEST_P(Levels, KeysAreAnyBytes) {
  std::vector<std::string> keys{"",
                                std::string(1, '\0'),
                                std::string(2, '\0'),
                                "a",
                                std::string("a\0", 2),
                                std::string(600, 'k'),
                                std::string(100'000, 'k'),
                                "\xFF\xFE"};
  for (int byte = 0; byte < 256; ++byte) keys.emplace_back(3, static_cast<char>(byte));
  for (std::size_t index = 0; index < keys.size(); ++index) {
    level().put(keys[index], 0, value_of(std::to_string(index)));
  }
  for (std::size_t index = 0; index < keys.size(); ++index) {
    EXPECT_EQ(text_of(level().get(keys[index])), std::to_string(index));
  }
}

TEST_P(Levels, BigValuesAndEmptyOnes) {
  std::mt19937_64 random(1);
  std::string big(5'000'000, '\0');
  for (char& byte : big) byte = static_cast<char>(random());
  level().put("big", 0, value_of(big));
  level().put("packed", 0, value_of(std::string(3'000'000, 'x')));
  StoredValue bare;
  level().put("empty", 0, bare);
  EXPECT_TRUE(text_of(level().get("big")) == big);
  EXPECT_TRUE(text_of(level().get("packed")) == std::string(3'000'000, 'x'));
  ASSERT_TRUE(level().get("empty"));
  EXPECT_EQ(level().get("empty")->payload, "");
  level().put("big", 0, value_of("small"));
  EXPECT_EQ(text_of(level().get("big")), "small");
}

TEST_P(Levels, AValuePastItsTimeIsNotThere) {
  StoredValue value = value_of("value");
  value.lives_ns = 3'600'000'000'000;
  level().put("long", 0, value);
  const std::optional<StoredValue> there = level().get("long");
  ASSERT_TRUE(there);
  EXPECT_GT(there->lives_ns, 3'500'000'000'000);
  EXPECT_LE(there->lives_ns, value.lives_ns);
  value.lives_ns = 1;
  level().put("short", 0, value);
  const auto until = std::chrono::steady_clock::now() + 5s;
  while (level().get("short") && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_FALSE(level().get("short"));
  EXPECT_EQ(level().claim("short", std::nullopt).kind, Kind::kMine);
  value.lives_ns = -5;
  level().put("past", 0, value);
  EXPECT_FALSE(level().get("past"));
  level().put("short", 0, value_of("again"));
  EXPECT_EQ(text_of(level().get("short")), "again");
}

TEST_P(Levels, OneClaimAtATime) {
  const auto mine = level().claim("key", std::nullopt);
  ASSERT_EQ(mine.kind, Kind::kMine);
  EXPECT_NE(mine.token, 0U);
  for (core::SecondLevel* one : {&level(), &other()}) {
    const auto theirs = one->claim("key", std::nullopt);
    EXPECT_EQ(theirs.kind, Kind::kTaken);
    EXPECT_EQ(theirs.token, mine.token);
  }
  const auto another = level().claim("another key", std::nullopt);
  EXPECT_EQ(another.kind, Kind::kMine);
  EXPECT_NE(another.token, mine.token);
  level().put("key", mine.token, value_of("value"));
  const auto found = other().claim("key", std::nullopt);
  ASSERT_EQ(found.kind, Kind::kFound);
  EXPECT_EQ(found.found.payload, "value");
  EXPECT_EQ(other().claim("another key", std::nullopt).kind, Kind::kTaken);
}

TEST_P(Levels, AReleasedClaimIsFree) {
  const auto first = level().claim("key", std::nullopt);
  level().release("key", first.token, false);
  const auto second = other().claim("key", std::nullopt);
  EXPECT_EQ(second.kind, Kind::kMine);
  EXPECT_NE(second.token, first.token);
  level().release("key", first.token, false);  // once more: it is not that one's any more
  level().release("key", 0, false);
  level().put("key", 0, value_of("of nobody's claim"));
  const SeenEntry seen{7, 1};
  EXPECT_EQ(level().claim("key", seen).kind, Kind::kTaken);
}

TEST_P(Levels, AnEntryThatIsRefusedIsNotFound) {
  level().put("key", 0, value_of("old", 5));
  const SeenEntry old{7, 5};
  EXPECT_EQ(level().claim("key", SeenEntry{7, 4}).kind, Kind::kFound);
  EXPECT_EQ(level().claim("key", SeenEntry{8, 5}).kind, Kind::kFound);
  const auto mine = level().claim("key", old);
  ASSERT_EQ(mine.kind, Kind::kMine);
  EXPECT_EQ(other().claim("key", old).kind, Kind::kTaken);
  EXPECT_EQ(other().claim("key", std::nullopt).kind, Kind::kFound);
  level().put("key", mine.token, value_of("new", 6));
  const auto found = other().claim("key", old);
  ASSERT_EQ(found.kind, Kind::kFound);
  EXPECT_EQ(found.found.payload, "new");
}

TEST_P(Levels, WaitersSeeTheEnd) {
  EXPECT_EQ(level().wait("key", 12345, 10s), Waited::kEnded) << "there is no such claim";
  const auto mine = level().claim("key", std::nullopt);
  EXPECT_EQ(other().wait("key", mine.token, 20ms), Waited::kTimedOut);
  EXPECT_EQ(other().wait("key", mine.token, 0ms), Waited::kTimedOut);
  EXPECT_EQ(other().wait("key", mine.token, -1ms), Waited::kTimedOut);
  EXPECT_EQ(other().wait("key", mine.token + 1, 10s), Waited::kEnded);
  std::atomic<int> ended{0};
  std::vector<std::thread> waiters;
  for (int index = 0; index < 4; ++index) {
    waiters.emplace_back([&, index] {
      core::SecondLevel& one = index % 2 == 0 ? level() : other();
      EXPECT_EQ(one.wait("key", mine.token, 30s), Waited::kEnded);
      EXPECT_EQ(text_of(one.get("key")), "value") << "the end was seen before the value";
      ended.fetch_add(1);
    });
  }
  std::this_thread::sleep_for(30ms);
  EXPECT_EQ(ended.load(), 0);
  level().put("key", mine.token, value_of("value"));
  for (std::thread& one : waiters) one.join();
  EXPECT_EQ(other().wait("key", mine.token, 24h), Waited::kEnded);
}

TEST_P(Levels, WaitersSeeThatALoadFailed) {
  const auto first = level().claim("key", std::nullopt);
  std::thread waiter([&] { EXPECT_EQ(other().wait("key", first.token, 30s), Waited::kFailed); });
  std::this_thread::sleep_for(5ms);
  level().release("key", first.token, true);
  waiter.join();
  EXPECT_EQ(level().wait("key", first.token, 30s), Waited::kFailed) << "also who comes later";
  const auto next = other().claim("key", std::nullopt);
  EXPECT_EQ(next.kind, Kind::kMine);
  EXPECT_EQ(level().wait("key", first.token, 30s), Waited::kEnded) << "the next one has begun";
  EXPECT_EQ(level().wait("key", next.token, 1ms), Waited::kTimedOut);
  other().put("key", next.token, value_of("value"));
  EXPECT_EQ(text_of(level().get("key")), "value");
}

TEST_P(Levels, ManyThreadsHaveOneClaimAtATimeAndAllGetTheValue) {
  constexpr int kRounds = 20;
  std::atomic<int> inside{0};
  std::atomic<int> loads{0};
  std::vector<std::thread> threads;
  const auto call = [&](core::SecondLevel& one, const std::string& key) {
    for (;;) {
      auto claim = one.claim(key, std::nullopt);
      if (claim.kind == Kind::kFound) return claim.found.payload;
      if (claim.kind == Kind::kTaken) {
        EXPECT_NE(one.wait(key, claim.token, 30s), Waited::kTimedOut);
        continue;
      }
      EXPECT_EQ(inside.fetch_add(1), 0) << "two at once";
      const int load = loads.fetch_add(1);
      std::this_thread::yield();
      inside.fetch_sub(1);
      if (load % 3 == 0) {
        one.release(key, claim.token, load % 2 == 0);
      } else {
        one.put(key, claim.token, value_of("value of " + key));
      }
    }
  };
  for (int round = 0; round < kRounds; ++round) {
    const std::string key = "key " + std::to_string(round);
    threads.clear();
    for (int index = 0; index < 4; ++index) {
      threads.emplace_back([&, index] {
        EXPECT_EQ(call(index % 2 == 0 ? level() : other(), key), "value of " + key);
      });
    }
    for (std::thread& one : threads) one.join();
  }
  EXPECT_GE(loads.load(), kRounds);
  EXPECT_LE(loads.load(), 2 * kRounds) << "every third was given back";
}

// A random sequence of calls does what the same calls do to two maps.
TEST_P(Levels, ARandomOracle) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  std::map<std::string, StoredValue> entries;
  struct Flight {
    std::uint64_t token = 0;
    bool has_failed = false;
  };
  std::map<std::string, Flight> flights;
  std::set<std::uint64_t> tokens;
  for (int step = 0; step < 1500; ++step) {
    const std::string key = "key " + std::to_string(random() % 7);
    core::SecondLevel& one = random() % 2 == 0 ? level() : other();
    const auto flight = flights.find(key);
    const bool is_taken = flight != flights.end() && !flight->second.has_failed;
    switch (random() % 5) {
      case 0: {
        const auto known = entries.find(key);
        ASSERT_EQ(text_of(one.get(key)), known == entries.end() ? "(none)" : known->second.payload);
        break;
      }
      case 1:
      case 2: {
        std::optional<SeenEntry> refused;
        const auto known = entries.find(key);
        if (known != entries.end() && random() % 4 != 0) {
          refused = SeenEntry{7, known->second.born + random() % 2};
        }
        const bool is_found =
            known != entries.end() && (!refused || refused->born != known->second.born);
        const auto claim = one.claim(key, refused);
        ASSERT_EQ(claim.kind, is_found ? Kind::kFound : (is_taken ? Kind::kTaken : Kind::kMine));
        if (claim.kind == Kind::kFound) {
          ASSERT_EQ(claim.found.payload, known->second.payload);
        }
        if (claim.kind == Kind::kTaken) {
          ASSERT_EQ(claim.token, flight->second.token);
        }
        if (claim.kind == Kind::kMine) {
          ASSERT_TRUE(tokens.insert(claim.token).second) << "given before";
          flights[key] = {claim.token, false};
        }
        break;
      }
      case 3: {
        StoredValue value =
            value_of(std::string(random() % 5000, 'v') + std::to_string(step), random() % 10);
        if (random() % 2 == 0) value.lives_ns = 3'600'000'000'000;
        const bool ends = flight != flights.end() && random() % 2 == 0;
        one.put(key, ends ? flight->second.token : 0, value);
        entries[key] = value;
        if (ends) flights.erase(flight);
        break;
      }
      default: {
        if (flight == flights.end()) break;
        const bool failed = random() % 2 == 0;
        ASSERT_EQ(one.wait(key, flight->second.token, 0ns),
                  is_taken ? Waited::kTimedOut : Waited::kFailed);
        one.release(key, flight->second.token, failed);
        if (failed) {
          flight->second.has_failed = true;
        } else {
          flights.erase(flight);
        }
      }
    }
  }
}

// More than a store writes or asks for at once.
constexpr std::size_t kMany = 600;

struct Many {
  Many() {
    for (std::size_t index = 0; index < kMany; ++index) {
      texts.push_back("many " + std::to_string(index));
      values.push_back(value_of("value " + std::to_string(index)));
    }
    keys.assign(texts.begin(), texts.end());
    for (std::size_t index = 0; index < kMany; ++index) {
      claims.push_back({.key = keys[index], .refused = {}, .claim = {}});
      puts.push_back({.key = keys[index],
                      .token = 0,
                      .value = &values[index],
                      .is_stored = false,
                      .trouble = {}});
    }
  }
  std::vector<std::string> texts;
  std::vector<std::string_view> keys;
  std::vector<StoredValue> values;
  std::vector<core::SecondLevel::Claiming> claims;
  std::vector<core::SecondLevel::Putting> puts;
};

TEST_P(Levels, ManyAreStoredAndFoundAsEachByItself) {
  Many many;
  level().put(many.keys[5], 0, value_of("before"));
  const StoredValue too_large = value_of(std::string(std::size_t{65} << 20, 'x'));
  const bool has_bound = GetParam().first != "memory";
  if (has_bound) many.puts[7].value = &too_large;
  level().put_many(many.puts);
  for (std::size_t index = 0; index < kMany; ++index) {
    const bool is_stored = !has_bound || index != 7;
    EXPECT_EQ(many.puts[index].is_stored, is_stored) << index;
    EXPECT_EQ(many.puts[index].trouble.empty(), is_stored) << many.puts[index].trouble;
    EXPECT_EQ(text_of(other().get(many.keys[index])),
              is_stored ? many.values[index].payload : "(none)");
  }
  many.keys[8] = "another";
  const auto found = other().get_many(many.keys);
  ASSERT_EQ(found.size(), kMany);
  for (std::size_t index = 0; index < kMany; ++index) {
    const bool is_there = index != 8 && (index != 7 || !has_bound);
    EXPECT_EQ(text_of(found[index]), is_there ? many.values[index].payload : "(none)") << index;
  }
}

TEST_P(Levels, ManyAreClaimedAsEachByItself) {
  Many many;
  const std::uint64_t taken = other().claim(many.keys[0], {}).token;
  other().put(many.keys[1], 0, many.values[1]);
  other().put(many.keys[2], 0, many.values[2]);
  many.claims[2].refused = seen_of(many.values[2]);
  level().claim_many(many.claims);
  std::set<std::uint64_t> tokens;
  for (std::size_t index = 0; index < kMany; ++index) {
    ASSERT_TRUE(many.claims[index].claim) << index;
    const core::SecondLevel::Claim& claim = *many.claims[index].claim;
    EXPECT_EQ(claim.kind, index == 0 ? Kind::kTaken : index == 1 ? Kind::kFound : Kind::kMine);
    if (claim.kind == Kind::kMine) tokens.insert(claim.token);
    many.puts[index].token = claim.token;
  }
  EXPECT_EQ(tokens.size(), kMany - 2) << "each has a token of its own";
  EXPECT_EQ(many.claims[0].claim->token, taken);
  EXPECT_EQ(many.claims[1].claim->found.payload, many.values[1].payload);
  EXPECT_EQ(other().claim(many.keys[kMany - 1], {}).kind, Kind::kTaken);

  // Half of them are stored, the others are let go of; both frees the claims.
  level().put_many(std::span(many.puts).subspan(2, 298));
  std::vector<core::SecondLevel::Releasing> releases;
  for (std::size_t index = 300; index < kMany; ++index) {
    releases.push_back({many.keys[index], many.puts[index].token, index == kMany - 1});
  }
  level().release_many(releases);
  EXPECT_EQ(other().wait(many.keys[2], many.puts[2].token, 1ms), Waited::kEnded);
  EXPECT_EQ(other().wait(many.keys[kMany - 1], many.puts[kMany - 1].token, 10s), Waited::kFailed);
  for (const std::size_t index : {2UL, 299UL, 300UL, kMany - 2, kMany - 1}) {
    const core::SecondLevel::Claim claim = other().claim(many.keys[index], {});
    EXPECT_EQ(claim.kind, index < 300 ? Kind::kFound : Kind::kMine) << index;
  }
  EXPECT_EQ(level().claim(many.keys[0], {}).token, taken) << "it was nobody's here to free";
}

TEST_P(Levels, AKeyAmongManyThatIsThereTwiceIsClaimedOnce) {
  std::vector<core::SecondLevel::Claiming> claims(2, {.key = "twice", .refused = {}, .claim = {}});
  level().claim_many(claims);
  EXPECT_EQ(claims[0].claim->kind, Kind::kMine);
  EXPECT_EQ(claims[1].claim->kind, Kind::kTaken);
  EXPECT_EQ(claims[1].claim->token, claims[0].claim->token);
}

std::unique_ptr<Place> in_memory() {
  auto place = std::make_unique<Place>();
  place->storage = place->same = memory_storage();
  return place;
}

std::unique_ptr<Place> in_lmdb() {
  auto place = std::make_unique<Place>();
  place->storage = lmdb_storage(place->folder.path());
  place->same = lmdb_storage(place->folder.path());
  return place;
}

#ifdef ZOOCACHE_HAS_REDIS
// One server for all tests of this program; each has a namespace of its own.
std::unique_ptr<Place> on_server(const RedisServer& server) {
  static int count = 0;
  auto place = std::make_unique<Place>();
  RedisStorageOptions options;
  options.prefix = "conformance-" + std::to_string(++count);
  options.command_timeout_s = 10;  // for large values on a loaded machine
  options.connect_timeout_s = 10;
  place->storage = redis_storage(server.url(), options);
  place->same = redis_storage(server.url(), options);
  return place;
}

std::unique_ptr<Place> on_redis() {
  static const RedisServer server;
  return on_server(server);
}

std::unique_ptr<Place> on_valkey() {
  static const RedisServer server({.program = valkey_server()});
  return on_server(server);
}

TEST(LevelsOnValkey, AreTestedToo) { NEEDS_VALKEY_SERVER(); }
#endif

std::vector<std::pair<std::string, MakePlace>> every_place() {
  std::vector<std::pair<std::string, MakePlace>> places{{"memory", in_memory}, {"lmdb", in_lmdb}};
#ifdef ZOOCACHE_HAS_REDIS
  if (RedisServer::is_installed()) places.emplace_back("redis", on_redis);
  if (!valkey_server().empty()) places.emplace_back("valkey", on_valkey);
#endif
  return places;
}

INSTANTIATE_TEST_SUITE_P(Each, Levels, ::testing::ValuesIn(every_place()),
                         [](const auto& one) { return one.param.first; });

}  // namespace
}  // namespace zoocache::testing
