// Several keys at once: what redis_level.cpp sends for one, in one go for as many as kKeysAtOnce.
#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "redis/redis_level.h"
#include "zoocache/errors.h"

namespace zoocache::redis {
namespace {

// Keys in a round trip: the replies lie in memory together, and have one time-out.
constexpr std::size_t kKeysAtOnce = 256;

// Calls `work` with parts of `all`, in order.
template <class Kind, class Work>
void in_parts(std::span<Kind> all, Work&& work) {
  for (std::size_t at = 0; at < all.size(); at += kKeysAtOnce) {
    work(all.subspan(at, std::min(kKeysAtOnce, all.size() - at)));
  }
}

}  // namespace

std::vector<std::optional<core::StoredValue>> RedisLevel::get_many(
    std::span<const std::string_view> keys) {
  std::vector<std::optional<core::StoredValue>> values;
  values.reserve(keys.size());
  in_parts(keys, [&](std::span<const std::string_view> some) {
    std::vector<Command> commands;
    for (const std::string_view key : some) {
      for (Command& command : get_commands(key)) commands.push_back(std::move(command));
    }
    const std::vector<Reply> replies = client().ask(commands);
    const std::size_t each = replies.size() / some.size();
    for (std::size_t index = 0; index < some.size(); ++index) {
      values.push_back(got(some[index], std::span(replies).subspan(index * each, each)));
    }
  });
  return values;
}

void RedisLevel::claim_many(std::span<Claiming> claims) {
  in_parts(claims, [this](std::span<Claiming> some) { claim_some(some); });
}

void RedisLevel::claim_some(std::span<Claiming> claims) {
  LevelClient& own = client();
  std::vector<std::uint64_t> tokens;
  std::vector<ScriptCall> calls;
  for (const Claiming& one : claims) {
    tokens.push_back(new_token());
    calls.push_back(claim_call(own, keys_of(one.key), passed_over(one.refused), tokens.back()));
  }
  std::vector<Reply> replies;
  try {
    replies = own.ask(own.scripts().claim, calls);
  } catch (const HomeUnreachable&) {  // interleaving (2): all of them may be ours
    for (std::size_t index = 0; index < claims.size(); ++index) {
      own.tell(own.scripts().release, release_call(claims[index].key, tokens[index], false));
    }
    throw;
  }
  std::exception_ptr refused;
  for (std::size_t index = 0; index < claims.size(); ++index) {
    Claiming& one = claims[index];
    try {
      std::string seen;
      one.claim = claimed(own, keys_of(one.key), one.key, one.refused, tokens[index],
                          replies[index], &seen);
      if (!one.claim) one.claim = claim(one.key, one.refused);  // damaged: by itself, once more
    } catch (const HomeUnreachable&) {
      refused = std::current_exception();  // the others' answers count
    }
  }
  if (refused) std::rethrow_exception(refused);
}

void RedisLevel::put_many(std::span<Putting> puts) noexcept {
  in_parts(puts, [this](std::span<Putting> some) {
    try {
      put_some(some);
    } catch (const std::exception& error) {
      for (Putting& one : some) {
        if (!one.is_stored && one.trouble.empty()) core::note_trouble(error, &one.trouble);
      }
    }
    try {
      std::vector<Releasing> releases;
      for (const Putting& one : some) {
        if (!one.is_stored) releases.push_back({one.key, one.token, false});
      }
      release_many(releases);
    } catch (const std::bad_alloc&) {
      return;  // the claims end with the process
    }
  });
}

void RedisLevel::put_some(std::span<Putting> puts) {
  std::vector<Putting*> sent;
  std::vector<ScriptCall> calls;
  for (Putting& one : puts) {
    try {
      calls.push_back(put_call(one.key, one.token, *one.value));
      sent.push_back(&one);
    } catch (const StorageIsFull& error) {
      core::note_trouble(error, &one.trouble);
    }
  }
  if (calls.empty()) return;
  LevelClient& own = client();
  const std::vector<Reply> replies = own.ask(own.scripts().put, calls);
  for (std::size_t index = 0; index < sent.size(); ++index) {
    try {
      demand_stored(calls[index], replies[index]);
      own.let_go(sent[index]->token);
      sent[index]->is_stored = true;
    } catch (const std::exception& error) {
      core::note_trouble(error, &sent[index]->trouble);
    }
  }
}

void RedisLevel::release_many(std::span<const Releasing> releases) noexcept {
  in_parts(releases, [this](std::span<const Releasing> some) {
    try {
      LevelClient& own = client();
      std::vector<ScriptCall> calls;
      for (const Releasing& one : some) {
        if (one.token == 0) continue;
        own.let_go(one.token);
        calls.push_back(release_call(one.key, one.token, one.failed));
      }
      if (!calls.empty()) own.ask(own.scripts().release, calls);
    } catch (const std::exception&) {
      return;  // the claims end by themselves
    }
  });
}

}  // namespace zoocache::redis
