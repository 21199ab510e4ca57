#include "zoocache/cache.h"

#include <map>
#include <string>
#include <utility>

#include "core/intent.h"
#include "core/tag.h"
#include "cpp/state.h"
#include "cpp/told.h"
#include "zoocache/errors.h"

namespace zoocache {
namespace {

template <class Texts>
std::vector<core::TagPath> parse_all(const detail::CacheState& state, const Texts& texts) {
  std::vector<core::TagPath> paths;
  paths.reserve(texts.size());
  const std::size_t max_length = state.engine.options().max_tag_length;
  for (const auto& text : texts) paths.push_back(core::TagPath::parse(text, max_length));
  return paths;
}

}  // namespace

Cache::Cache(const Options& options) : state_(std::make_shared<detail::CacheState>(options)) {}

// The usual case allocates nothing.
std::uint64_t Cache::invalidate(std::string_view tag) {
  const std::size_t max_length = state_->engine.options().max_tag_length;
  return state_->engine.log().invalidate(core::TagPath::parse(tag, max_length));
}

std::uint64_t Cache::invalidate(const std::vector<std::string_view>& tags) {
  if (tags.empty()) throw InvalidTag("invalidate() wants at least one tag; clear() drops all");
  return state_->engine.log().invalidate(parse_all(*state_, tags));
}

void Cache::clear() {
  core::InvalidationLog& log = state_->engine.log();
  log.invalidate_root();
  core::Removed removed(log);
  state_->engine.clear(removed);
}

Stats Cache::stats() const {
  auto& engine = state_->engine;
  Stats stats;
  static_cast<FunctionStats&>(stats) = detail::stats_of(engine.totals());
  stats.clock = engine.log().clock();
  stats.entries = engine.entries();
  stats.bytes = engine.bytes();
  stats.tags = engine.log().visible_tag_count();
  stats.flights = state_->flights.size();
  return stats;
}

std::vector<TagInfo> Cache::tags(std::string_view prefix) const {
  std::vector<TagInfo> told;
  for (auto& row : state_->engine.log().rows(prefix)) {
    told.push_back({std::move(row.tag), row.version, row.holders});
  }
  return told;
}

std::vector<FunctionInfo> Cache::functions() const {
  std::vector<FunctionInfo> told;
  for (auto& report : state_->engine.reports()) {
    FunctionInfo info;
    info.name = std::move(report.name);
    info.entries = report.entries;
    info.stats = detail::stats_of(report.totals);
    info.load_times.bounds_s.assign(core::kLoadBoundsS.begin(), core::kLoadBoundsS.end());
    info.load_times.counts.assign(report.loads.buckets.begin(), report.loads.buckets.end());
    info.load_times.sum_s = static_cast<double>(report.loads.sum_ns) / 1e9;
    told.push_back(std::move(info));
  }
  return told;
}

std::vector<InvalidationInfo> Cache::invalidations() const {
  std::map<std::uint64_t, std::string> names;
  for (auto& report : state_->engine.reports()) names.emplace(report.id, std::move(report.name));
  std::vector<InvalidationInfo> told;
  const std::int64_t now_ms = state_->engine.log().now_ms();
  for (auto& one : state_->engine.log().recent()) {
    InvalidationInfo info;
    info.epoch = one.epoch;
    info.tags = std::move(one.tags);
    for (const std::uint64_t id : one.functions) info.functions.push_back(names[id]);
    info.everything = one.everything;
    info.more = one.more;
    info.age_s = static_cast<double>(now_ms - one.note.time_ms) / 1e3;
    info.died = one.died;
    told.push_back(std::move(info));
  }
  return told;
}

std::optional<HomeStatus> Cache::home() const {
  core::LogHome* const home = state_->engine.log().home();
  if (home == nullptr) return std::nullopt;
  return home->status();
}

std::optional<StorageStatus> Cache::storage() const {
  const std::shared_ptr<core::SecondLevel>& level = state_->engine.level();
  if (level == nullptr) return std::nullopt;
  return level->status();
}

std::uint64_t Cache::tag_version(std::string_view tag) const {
  const std::size_t max_length = state_->engine.options().max_tag_length;
  return state_->engine.log().version(core::TagPath::parse(tag, max_length));
}

// Ready for its end from the beginning: nothing in the destructor can fail.
class Invalidating::Hold {
 public:
  Hold(detail::CachePtr state, std::vector<std::string> tags)
      : state_(std::move(state)), tags_(std::move(tags)), paths_(parse_all(*state_, tags_)) {
    if (tags_.empty()) throw InvalidTag("invalidating() wants at least one tag");
    token_ = core::begin_write(state_->engine.log(), paths_);
  }
  ~Hold() {
    if (is_cancelled_) return;
    try {
      core::end_write(state_->engine.log(), token_, paths_);
    } catch (const HomeUnreachable&) {
      // Done here, and the home's connection goes on trying; a destructor has nobody to tell.
    }
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  void cancel() noexcept {
    is_cancelled_ = true;
    core::cancel_write(state_->engine.log(), token_, paths_);
  }

 private:
  const detail::CachePtr state_;
  const std::vector<std::string> tags_;
  const std::vector<core::TagPath> paths_;  // of `tags_`
  std::uint64_t token_ = 0;
  bool is_cancelled_ = false;
};

void Invalidating::cancel() noexcept {
  const std::shared_ptr<Hold> hold = std::exchange(hold_, nullptr);
  if (hold != nullptr) hold->cancel();
}

Invalidating Cache::invalidating(std::vector<std::string> tags) {
  return Invalidating(std::make_shared<Invalidating::Hold>(state_, std::move(tags)));
}

}  // namespace zoocache
