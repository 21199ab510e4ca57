// The simulation's model of a server beside a real one: the same calls get the same replies, and
// the same messages are published.
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "redis/intents.h"
#include "redis/protocol.h"
#include "redis/scripts.h"
#include "redis_client.h"
#include "redis_sim_server.h"
#include "seed.h"

namespace zoocache::testing {
namespace {

std::string shown(const redis::Reply& reply) {
  if (reply.is_error()) return "error";
  std::string text = reply.text;
  for (const redis::Reply& item : reply.items) text += "[" + shown(item) + "]";
  return text;
}

class RedisLogModel : public ::testing::Test {
 protected:
  void SetUp() override {
    NEEDS_REDIS_SERVER();
    server_ = std::make_unique<RedisServer>();
    redis::ClientOptions options = options_for(server_->url());
    options.channels = {place_.channel};
    client_ = std::make_unique<redis::Client>(options, heard_);
    ASSERT_TRUE(connects(*client_));
  }
  // The same call to both; the replies without what only one of them can know.
  void compare(const redis::Script& script, const redis::ScriptCall& call, std::size_t compared) {
    const redis::Answer answer = run(*client_, Link::kControl, script, call, 10s);
    ASSERT_TRUE(answer.has_reply()) << answer.failure.detail;
    redis::Reply real = answer.reply;
    redis::Command command{"EVALSHA", script.hash(), "1", place_.key};
    for (const std::string& word : call.arguments) command.add(word);
    redis::Reply modelled = model_.execute(command, 0);
    if (modelled.is_error("NOSCRIPT")) {
      model_.execute({"SCRIPT", "LOAD", script.source()}, 0);
      modelled = model_.execute(command, 0);
    }
    if (compared != 0 && real.items.size() > compared) {
      real.items.erase(real.items.begin() + static_cast<std::ptrdiff_t>(compared));
      modelled.items.erase(modelled.items.begin() + static_cast<std::ptrdiff_t>(compared));
    }
    EXPECT_EQ(shown(real), shown(modelled));
  }
  void step(std::mt19937_64& random);
  void step_of_intents(std::mt19937_64& random);

  const redis::Place place_{"model", 0};
  const redis::LogScripts scripts_;
  Heard heard_;
  std::vector<std::string> published_;
  ModelServer model_{
      7, [this](const std::string&, const std::string& payload) { published_.push_back(payload); }};
  std::uint64_t nonce_ = 0;
  std::unique_ptr<RedisServer> server_;
  std::unique_ptr<redis::Client> client_;
};

void RedisLogModel::step(std::mt19937_64& random) {
  constexpr std::size_t kAge = 3;  // where a heartbeat's reply has it
  switch (random() % 9) {
    case 0:
    case 1:
      compare(scripts_.beat, redis::beat_call(place_, random() % 50, random() % 50), kAge);
      nonce_ = model_.set.nonce;
      break;
    case 2:
    case 3:
    case 4: {
      std::vector<std::string> texts;
      for (std::size_t left = random() % 5; left > 0; --left) {
        texts.push_back(random() % 20 == 0 ? "" : "t:" + std::to_string(random() % 30));
      }
      const std::vector<core::Change> changes(texts.begin(), texts.end());
      compare(scripts_.invalidate, redis::invalidate_call(place_, changes, 20), 0);
      nonce_ = model_.set.nonce;
      break;
    }
    case 5: {
      const std::uint64_t nonce = random() % 10 == 0 ? 12345 : nonce_;
      const std::size_t most = 1 + random() % 4;
      compare(scripts_.page, redis::page_call(place_, nonce, random() % 100, most), 0);
      break;
    }
    case 6:
      compare(scripts_.leave, redis::leave_call(place_, place_.node, random() % 50), 0);
      break;
    case 7:
      step_of_intents(random);
      break;
    default:
      if (random() % 20 == 0) {
        server_->command({"DEL", place_.key});
        model_.set = ModelServer::Set();
      } else if (model_.set.exists && random() % 4 == 0) {
        model_.set.needs = random() % 3;
        server_->command(
            {"ZADD", place_.key, "-" + std::to_string(model_.set.needs), redis::kNeedsMember});
      } else {
        compare(scripts_.nodes, redis::nodes_call(place_, random() % 2 == 0), 1);
      }
  }
}

void RedisLogModel::step_of_intents(std::mt19937_64& random) {
  const std::uint64_t token = random() % 6;
  std::vector<std::string> texts;
  for (std::uint64_t left = token % 3; left > 0; --left) {
    texts.push_back(left == 2 ? "odd:1:\n" : "t:" + std::to_string(token));
  }
  const std::string member = redis::intent_member(place_, token, texts);
  const std::vector<core::Change> changes(texts.begin(), texts.end());
  switch (random() % 5) {
    case 0:
      compare(scripts_.intents, redis::intents_call(place_), 0);
      break;
    case 1:
    case 2:
      compare(scripts_.declare, redis::declare_call(place_, member), 0);
      nonce_ = model_.set.nonce;
      break;
    case 3:
      compare(scripts_.fire, redis::end_call(place_, member, changes, 20), 0);
      nonce_ = model_.set.nonce;
      break;
    default: {
      redis::Firing firing{std::string(redis::intent_name(member)), random() % 2, random() % 2};
      if (random() % 4 == 0) firing.next.reset();
      compare(scripts_.fire, redis::fire_call(place_, firing, 20), 0);
      nonce_ = model_.set.nonce;
    }
  }
}

TEST_F(RedisLogModel, AnswersAsTheServerDoes) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed_note(seed));
  std::mt19937_64 random(seed);
  for (int left = 2000; left > 0 && !HasFailure(); --left) step(random);
  EXPECT_TRUE(eventually([&] { return heard_.payloads().size() >= published_.size(); }));
  EXPECT_EQ(heard_.payloads(), published_);
}

}  // namespace
}  // namespace zoocache::testing
