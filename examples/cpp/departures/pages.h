// The pages that readers ask for, as a team would write them over a cache.
//
// `way.cached(name, loader, deps)` is Cache::cacheable in the run that shows zoocache; the other
// runs put a TTL cache or nothing in its place. Pages are built from other cached pages, so a
// change of the weather reaches every board that shows it although no writer ever names those
// boards. Thread-safety: as that of the way and of the source.
#pragma once

#include <zoocache/zoocache.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "sqlite.h"
#include "timeline.h"

namespace departures {

// A fact and the pages that are shown with it.
struct Page {
  std::string fact;
  std::vector<Value> args;
  Rows rows;
  std::vector<std::shared_ptr<const Page>> parts;
};
using PagePtr = std::shared_ptr<const Page>;

// Answers facts. Every thread that asks has said before which connection is its own.
class Source {
 public:
  Source(const std::string& path, const Timeline& timeline, std::size_t threads)
      : timeline_(timeline) {
    for (std::size_t index = 0; index < threads; ++index) {
      connections_.push_back(std::make_unique<Database>(path));
      connections_.back()->run("PRAGMA query_only = ON");
    }
  }

  void use_connection(std::size_t index) { mine_ = connections_.at(index).get(); }

  Page page(const std::string& name, std::vector<Value> args) {
    statements_.fetch_add(1, std::memory_order_relaxed);
    const Fact& fact = timeline_.facts.at(name);
    Rows rows = mine_->run(fact.now, fact.bind(args));
    return {name, std::move(args), std::move(rows), {}};
  }
  std::uint64_t statements() const noexcept { return statements_.load(); }

 private:
  static inline thread_local Database* mine_ = nullptr;
  const Timeline& timeline_;
  std::vector<std::unique_ptr<Database>> connections_;
  std::atomic<std::uint64_t> statements_{0};
};

using Text = std::string;
using Args = std::vector<Value>;
using Pages = std::map<std::string, std::function<PagePtr(const Args&)>>;

// A page whose arguments are `kCount` texts.
template <std::size_t kCount, class Function>
std::function<PagePtr(const Args&)> by_texts(Function function) {
  return [function](const Args& args) {
    return [&]<std::size_t... kIndex>(std::index_sequence<kIndex...>) {
      return function(text_of(args.at(kIndex))...);
    }
    (std::make_index_sequence<kCount>());
  };
}

// Question kind -> function.
template <class Way>
Pages build_pages(Way& way, Source& source) {
  using zoocache::deps;

  auto airlines = way.cached(
      "airlines", [&] { return source.page("airlines", {}); }, zoocache::NoDeps{});
  auto aircraft = way.cached(
      "aircraft", [&](const Text& tail) { return source.page("aircraft", {tail}); },
      zoocache::NoDeps{});
  auto weather = way.cached(
      "weather", [&](const Text& airport) { return source.page("weather", {airport}); },
      deps("weather:{0}"));
  auto flight = way.cached(
      "flight",
      [&](const Text& day, const Text& carrier, std::int64_t number) {
        return source.page("flight", {day, carrier, number});
      },
      deps("flight:{0}:{1}:{2}"));
  auto carrier = way.cached(
      "carrier",
      [&source, airlines](const Text& day, const Text& code) {
        Page page = source.page("carrier", {day, code});
        page.parts = {airlines()};
        return page;
      },
      deps("carrier:{1}"));
  auto board = way.cached(
      "board",
      [&source, weather, airlines](const Text& airport) {
        Page page = source.page("board", {airport});
        page.parts = {weather(airport), airlines()};
        return page;
      },
      deps("board:{0}"));
  auto route = way.cached(
      "route",
      [&source, carrier](const Text& origin, const Text& dest, const Text& day) {
        Page page = source.page("route", {origin, dest, day});
        std::set<Text> names;
        for (const Row& row : page.rows) names.insert(text_of(row[0]));
        for (const Text& name : names) page.parts.push_back(carrier(day, name));
        return page;
      },
      deps("route:{0}:{1}"));
  auto plane = way.cached(
      "plane",
      [&source, aircraft, flight](const Text& tail) {
        Page page = source.page("plane", {tail});
        page.parts = {aircraft(tail)};
        if (!page.rows.empty()) {
          const Row& last = page.rows.front();
          page.parts.push_back(flight(text_of(last[0]), text_of(last[1]), number_of(last[2])));
        }
        return page;
      },
      deps("plane:{0}"));

  return {
      {"board", by_texts<1>(board)},
      {"plane", by_texts<1>(plane)},
      {"carrier", by_texts<2>(carrier)},
      {"route", by_texts<3>(route)},
      {"flight",
       [flight](const Args& args) {
         return flight(text_of(args[0]), text_of(args[1]), number_of(args[2]));
       }},
  };
}

}  // namespace departures
