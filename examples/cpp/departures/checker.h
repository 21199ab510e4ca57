// Judges every answer against the database. No false alarm, no missed staleness.
//
// Each fact that a page shows must equal that fact in some state of the database between `low`,
// the last change whose invalidation had returned before the call began, and `high`, the last
// change that may have been visible when the call returned. The database remembers every version
// of every row, so it is asked as of each state in that window in which the fact could differ.
// Facts are judged one by one: a call that overlaps two changes may show the older state of one row
// and the newer of another, as it may without any cache.
// Thread-safety: one thread judges, while no other is being timed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "pages.h"
#include "score.h"
#include "sqlite.h"
#include "timeline.h"

namespace departures {

class Checker {
 public:
  // `done_s[n]` is the replay's time at which change n was done; it grows while the run goes on.
  Checker(const std::string& path, const Timeline& timeline, const std::vector<double>& done_s)
      : database_(path), timeline_(timeline), done_s_(done_s) {
    database_.run("PRAGMA query_only = ON");
  }

  // How long the worst of the page's facts had been wrong; nothing if each was right.
  // REQUIRES: changes up to `high` are committed.
  std::optional<Stale> judge(const Page& page, double at_s, std::int64_t low, std::int64_t high) {
    std::optional<Stale> worst;
    if (!was_current(page, low, high)) {
      worst = Stale{at_s, at_s - wrong_since_s(page, low), page.fact};
    }
    for (const PagePtr& part : page.parts) {
      const std::optional<Stale> inner = judge(*part, at_s, low, high);
      if (inner && (!worst || inner->wrong_s > worst->wrong_s)) worst = inner;
    }
    return worst;
  }

 private:
  using Key = std::tuple<std::int64_t, std::string, std::vector<Value>>;

  const Rows& as_of(std::int64_t sequence, const Page& page) {
    constexpr std::size_t kMostRemembered = 200'000;
    if (memo_.size() >= kMostRemembered) memo_.clear();
    const auto [at, is_new] = memo_.try_emplace(Key(sequence, page.fact, page.args));
    if (is_new) {
      const Fact& fact = timeline_.facts.at(page.fact);
      std::vector<Binding> bindings = fact.bind(page.args);
      bindings.emplace_back("sequence", sequence);
      at->second = database_.run(fact.as_of, bindings);
    }
    return at->second;
  }

  // Sequences in (after, upto] that may have changed the fact, newest first.
  Rows changes(const Page& page, std::int64_t after, std::int64_t upto) {
    const Fact& fact = timeline_.facts.at(page.fact);
    if (fact.changes.empty() || after >= upto) return {};
    std::vector<Binding> bindings = fact.bind(page.args);
    bindings.emplace_back("after", after);
    bindings.emplace_back("upto", upto);
    return database_.run(fact.changes, bindings);
  }

  bool was_current(const Page& page, std::int64_t low, std::int64_t high) {
    if (as_of(low, page) == page.rows) return true;
    for (const Row& row : changes(page, low, high)) {
      if (as_of(number_of(row[0]), page) == page.rows) return true;
    }
    return false;
  }

  // The moment from which it was wrong; the start of the replay if it was never right.
  double wrong_since_s(const Page& page, std::int64_t low) {
    for (const Row& row : changes(page, 0, low)) {
      const std::int64_t sequence = number_of(row[0]);
      if (as_of(sequence - 1, page) == page.rows) {
        return done_s_.at(static_cast<std::size_t>(sequence));
      }
    }
    return done_s_.front();
  }

  Database database_;
  const Timeline& timeline_;
  const std::vector<double>& done_s_;
  std::map<Key, Rows> memo_;
};

}  // namespace departures
