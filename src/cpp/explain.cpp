// Why a call would be answered from the cache or not, and the counts of one function.
#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

#include "cpp/state.h"
#include "cpp/told.h"
#include "zoocache/detail/boundary.h"

namespace zoocache {
namespace detail {
namespace {

constexpr char kByClear[] = "clear()";
constexpr char kByFunction[] = "the function's clear()";
constexpr char kByKey[] = "the invalidation of an inner call";
constexpr char kByOwnKey[] = "the invalidation of this call";

double age_of(const core::InvalidationLog& log, std::int64_t time_ms) {
  return static_cast<double>(log.now_ms() - time_ms) / 1e3;
}

void tell_invalidation(Explanation& told, core::InvalidationLog& log, core::Epoch epoch,
                       std::uint64_t tag_hash) {
  told.reason = Explanation::Reason::kInvalidated;
  told.epoch = epoch;
  const auto note = log.note(epoch, tag_hash);
  if (note.time_ms != 0) told.age_s = age_of(log, note.time_ms);
}

// REQUIRES: the entry is protected by a guard.
void tell_entry(Explanation& told, FunctionState& function, core::EntryId id) {
  auto& engine = function.cache->engine;
  core::InvalidationLog& log = engine.log();
  const core::ColdEntry& cold = engine.slab().cold(id);
  told.born = cold.born;
  for (const core::TagNode* node : cold.deps.nodes()) {
    if (!node->hidden()) told.deps.push_back(node->text());
  }
  std::sort(told.deps.begin(), told.deps.end());
  const core::Validity validity = engine.inspect(id, function.function);
  if (validity == core::Validity::kValid) {
    told.reason = Explanation::Reason::kHit;
    return;
  }
  if (validity == core::Validity::kExpired) {
    told.reason = Explanation::Reason::kExpired;
    const auto expired_ns = cold.expires_ns.load(std::memory_order_relaxed);
    told.age_s = static_cast<double>(engine.now_ns() - expired_ns) / 1e9;
    return;
  }
  const core::TagNode& killer = engine.killer_of(function.function, id);
  if (killer.parent == nullptr) {
    told.detail = kByClear;
  } else if (killer.hidden()) {
    told.detail = killer.parent->parent == nullptr ? kByFunction : kByKey;
  } else {
    told.tag = killer.text();
  }
  tell_invalidation(told, log, killer.version.load(std::memory_order_acquire), killer.hash);
}

void tell_obituary(Explanation& told, FunctionState& function, const core::Obituary& one) {
  using core::Removal;
  using Reason = Explanation::Reason;
  told.age_s = age_of(function.cache->engine.log(), one.time_ms);
  switch (one.reason) {
    case Removal::kInvalidated:
      if (one.tag.empty()) {
        told.detail = kByClear;
      } else if (one.tag[0] == core::kHiddenMark) {
        told.detail = one.tag == core::kByFunction ? kByFunction
                      : one.tag == core::kByOwnKey ? kByOwnKey
                                                   : kByKey;
      } else {
        told.tag = one.tag;
      }
      tell_invalidation(told, function.cache->engine.log(), one.epoch, one.tag_hash);
      break;
    case Removal::kExpired:
      told.reason = Reason::kExpired;
      break;
    case Removal::kEvicted:
      told.reason = Reason::kEvicted;
      break;
    case Removal::kReplaced:
    case Removal::kRemoved:
      told.reason = Reason::kInvalidated;
      told.detail = kByClear;
      break;
    case Removal::kOutdated:
    case Removal::kHeld:
    case Removal::kUnwanted:
    case Removal::kNoRoom:
    case Removal::kFailed:
      told.reason = Reason::kNotStored;
      told.detail = core::why_not_stored(one.reason);
      break;
  }
}

}  // namespace

Explanation explain(FunctionState& function, const Request& request) {
  Explanation told;
  auto& engine = function.cache->engine;
  {
    const core::ReadGuard guard;
    const core::EntryId id = engine.find(function.function, request.hash, matching(request));
    if (id != core::kNoEntry) {
      tell_entry(told, function, id);
      return told;
    }
  }
  bool found = false;
  const core::Obituary one = engine.obituary(function.function, request.hash, &found);
  if (found) tell_obituary(told, function, one);
  return told;
}

FunctionStats function_stats(const FunctionState& function) {
  core::FunctionTotals totals;
  totals.add(function.function.hits.sum(), function.function.counters);
  return stats_of(totals);
}

}  // namespace detail

namespace {

std::string in_words(const Explanation& told) {
  using Reason = Explanation::Reason;
  switch (told.reason) {
    case Reason::kHit: {
      std::string text = "hit: born at epoch " + std::to_string(told.born);
      for (const std::string& dep : told.deps) {
        text += (&dep == &told.deps.front() ? ", depends on '" : ", '") + dep + "'";
      }
      return text;
    }
    case Reason::kNeverLoaded:
      return "miss: never loaded, or long forgotten";
    case Reason::kInvalidated:
      return "miss: invalidated by " + (told.tag.empty() ? told.detail : "'" + told.tag + "'");
    case Reason::kExpired:
      return "miss: expired";
    case Reason::kEvicted:
      return "miss: evicted for want of room";
    case Reason::kNotStored:
      return "miss: the last result was not stored: " + told.detail;
  }
  return {};
}

}  // namespace

std::string Explanation::text() const {
  std::string text = in_words(*this);
  if (age_s.has_value()) {
    std::array<char, 48> age{};
    const int size = std::snprintf(age.data(), age.size(), ", %.2f s ago", *age_s);
    text.append(age.data(), static_cast<std::size_t>(size));
  }
  return text;
}

}  // namespace zoocache
