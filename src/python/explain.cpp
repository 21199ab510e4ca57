#include "python/explain.h"

#include <nanobind/stl/string.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "python/call.h"
#include "python/callable.h"
#include "python/core_type.h"
#include "python/errors.h"
#include "python/tags.h"

namespace nb = nanobind;

namespace zoocache::python {
namespace {

StatePtr state_of(const nb::handle& core) {
  if (Py_TYPE(core.ptr()) != &CoreType) throw nb::type_error("a Core is wanted");
  StatePtr* state = core_state(reinterpret_cast<Core*>(core.ptr()));
  if (state == nullptr) throw nb::python_error();
  return *state;
}

nb::dict told_of(const core::FunctionTotals& totals) {
  nb::dict told;
  core::for_each_count(totals,
                       [&told](const char* name, std::uint64_t number) { told[name] = number; });
  return told;
}

nb::dict stats(const nb::handle& core) {
  const StatePtr state = state_of(core);
  auto& engine = state->engine;
  nb::dict told = told_of(engine.totals());
  told["invalidations"] = engine.log().invalidations();
  told["entries"] = engine.entries();
  told["bytes"] = engine.bytes();
  told["tags"] = engine.log().visible_tag_count();
  told["clock"] = engine.log().clock();
  told["flights"] = state->flights.size();
  return told;
}

nb::str text_of(const std::string& text) {
  return nb::steal<nb::str>(
      PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}

nb::str name_of(std::string_view name) { return text_of(std::string(shown_name(name))); }

// [(name, entries, counters, buckets, seconds)], in the order in which they were made.
nb::list functions(const nb::handle& core) {
  nb::list rows;
  for (const auto& report : state_of(core)->engine.reports()) {
    nb::list buckets;
    for (const std::uint64_t loads : report.loads.buckets) buckets.append(loads);
    rows.append(nb::make_tuple(name_of(report.name), report.entries, told_of(report.totals),
                               nb::tuple(buckets), static_cast<double>(report.loads.sum_ns) / 1e9));
  }
  return rows;
}

// The upper bounds of their buckets but the last, in seconds.
nb::tuple load_bounds() {
  nb::list bounds;
  for (const double bound : core::kLoadBoundsS) bounds.append(bound);
  return nb::tuple(bounds);
}

// [(epoch, tags, functions, everything, more, age_s, died, origin)], the newest first.
nb::list invalidations(const nb::handle& core) {
  const StatePtr state = state_of(core);
  std::map<std::uint64_t, std::string> names;
  for (auto& report : state->engine.reports()) names.emplace(report.id, std::move(report.name));
  const std::int64_t now_ms = state->engine.log().now_ms();
  nb::list rows;
  for (const core::RecentInvalidation& one : state->engine.log().recent()) {
    nb::list tags;
    for (const std::string& tag : one.tags) tags.append(text_of(tag));
    nb::list killed;
    for (const std::uint64_t id : one.functions) killed.append(name_of(names[id]));
    const nb::object origin =
        nb::steal(reinterpret_cast<Core*>(core.ptr())->origins->text(one.note.origin));
    rows.append(nb::make_tuple(one.epoch, nb::tuple(tags), nb::tuple(killed), one.everything,
                               one.more, static_cast<double>(now_ms - one.note.time_ms) / 1e3,
                               one.died, origin));
  }
  return rows;
}

// [(tag, version, entries)], sorted by tag.
nb::list tags(const nb::handle& core, const nb::handle& prefix) {
  std::string_view text;
  if (!tag_text(prefix.ptr(), "tags", &text)) throw nb::python_error();
  nb::list rows;
  for (const auto& row : state_of(core)->engine.log().rows(text)) {
    rows.append(nb::make_tuple(text_of(row.tag), row.version, row.holders));
  }
  return rows;
}

// [(name, entries)] of the functions that would lose entries if the tag were invalidated, most
// first.
nb::list entries_below(const nb::handle& core, const nb::handle& tag) {
  std::string_view text;
  if (!tag_text(tag.ptr(), "entries_below", &text)) throw nb::python_error();
  const StatePtr state = state_of(core);
  std::map<std::uint64_t, std::size_t> found;
  const bool good = guarded([&] {
    const std::size_t max_length = state->engine.options().max_tag_length;
    found = state->engine.entries_below(core::TagPath::parse(text, max_length));
  });
  if (!good) throw nb::python_error();
  std::vector<std::pair<std::size_t, std::string>> functions;
  for (const auto& report : state->engine.reports()) {
    if (found.contains(report.id)) functions.emplace_back(found[report.id], report.name);
  }
  std::stable_sort(functions.begin(), functions.end(),
                   [](const auto& left, const auto& right) { return left.first > right.first; });
  nb::list rows;
  for (const auto& [entries, name] : functions) rows.append(nb::make_tuple(name_of(name), entries));
  return rows;
}

core::Epoch tag_version(const nb::handle& core, const nb::handle& tag) {
  std::string_view text;
  if (!tag_text(tag.ptr(), "get_tag_version", &text)) throw nb::python_error();
  const StatePtr state = state_of(core);
  core::InvalidationLog& log = state->engine.log();
  core::Epoch version = 0;
  const bool good = declared(log, [&] {
    const std::size_t max_length = state->engine.options().max_tag_length;
    version = log.version(core::TagPath::parse(text, max_length));
  });
  if (!good) throw nb::python_error();
  return version;
}

void check_one_tag(const nb::handle& tag, std::size_t max_length) {
  std::string_view text;
  if (!tag_text(tag.ptr(), "tag", &text)) throw nb::python_error();
  if (!guarded([&] { core::check_tag(text, max_length); })) throw nb::python_error();
}

// The tag as users know it: what the engine's own nodes stand for is said in words.
struct Killer {
  std::string tag;
  const char* hidden = nullptr;  // "clear", "function", "inner key" or "own key"
};

Killer describe(const core::TagNode& node) {
  if (node.parent == nullptr) return {"", "clear"};
  if (!node.hidden()) return {node.text(), nullptr};
  return {"", node.parent->parent == nullptr ? "function" : "inner key"};
}

void tell_invalidation(nb::dict& told, const CachedFunction* callable, core::Epoch epoch,
                       std::uint64_t tag_hash) {
  const auto note = (*callable->state)->engine.log().note(epoch, tag_hash);
  told["epoch"] = epoch;
  if (note.time_ms != 0) {
    told["age_s"] =
        static_cast<double>((*callable->state)->engine.log().now_ms() - note.time_ms) / 1e3;
  }
  told["origin"] = nb::steal(callable->core->origins->text(note.origin));
}

void tell_entry(nb::dict& told, const CachedFunction* callable, core::EntryId id) {
  auto& engine = (*callable->state)->engine;
  const core::ColdEntry& cold = engine.slab().cold(id);
  const core::Validity validity = engine.inspect(id, *callable->function);
  std::vector<std::string> deps;
  for (const core::TagNode* node : cold.deps.nodes()) {
    if (!node->hidden()) deps.push_back(node->text());
  }
  std::sort(deps.begin(), deps.end());
  nb::list list;
  for (const std::string& dep : deps) list.append(text_of(dep));
  told["deps"] = nb::tuple(list);
  told["born"] = cold.born;
  if (validity == core::Validity::kValid) {
    told["reason"] = "hit";
  } else if (validity == core::Validity::kExpired) {
    told["reason"] = "expired";
    const std::int64_t since_ns = engine.now_ns() - cold.expires_ns.load(std::memory_order_relaxed);
    told["age_s"] = static_cast<double>(since_ns) / 1e9;
  } else {
    const core::TagNode& killer = engine.killer_of(*callable->function, id);
    const Killer known = describe(killer);
    told["reason"] = "invalidated";
    if (known.hidden == nullptr) told["tag"] = text_of(known.tag);
    if (known.hidden != nullptr) told["hidden"] = known.hidden;
    tell_invalidation(told, callable, killer.version.load(std::memory_order_acquire), killer.hash);
  }
}

void tell_obituary(nb::dict& told, const CachedFunction* callable, const core::Obituary& one) {
  using core::Removal;
  told["age_s"] =
      static_cast<double>((*callable->state)->engine.log().now_ms() - one.time_ms) / 1e3;
  switch (one.reason) {
    case Removal::kInvalidated: {
      told["reason"] = "invalidated";
      const bool user_tag = !one.tag.empty() && one.tag[0] != core::kHiddenMark;
      if (user_tag) told["tag"] = text_of(one.tag);
      if (!user_tag) {
        told["hidden"] = one.tag.empty()                ? "clear"
                         : one.tag == core::kByFunction ? "function"
                         : one.tag == core::kByOwnKey   ? "own key"
                                                        : "inner key";
      }
      tell_invalidation(told, callable, one.epoch, one.tag_hash);
      break;
    }
    case Removal::kExpired:
      told["reason"] = "expired";
      break;
    case Removal::kEvicted:
      told["reason"] = "evicted";
      break;
    case Removal::kReplaced:
    case Removal::kRemoved:  // an instance that died: another one has its address now
      told.clear();
      told["reason"] = "never loaded";
      break;
    case Removal::kOutdated:
    case Removal::kHeld:
    case Removal::kUnwanted:
    case Removal::kNoRoom:
    case Removal::kFailed:
      told["reason"] = "not stored";
      told["why"] = core::why_not_stored(one.reason);
      break;
  }
}

nb::dict tell(CachedFunction* callable, Call& call) {
  nb::dict told;
  const core::EntryId id = find_entry(callable, call.probe());
  if (PyErr_Occurred() != nullptr) throw nb::python_error();
  if (id != core::kNoEntry) {
    tell_entry(told, callable, id);
    return told;
  }
  bool found = false;
  const core::Obituary one =
      (*callable->state)->engine.obituary(*callable->function, call.probe().hash, &found);
  if (found) {
    tell_obituary(told, callable, one);
  } else {
    told["reason"] = "never loaded";
  }
  return told;
}

// What is known about the entry of a call: reason, tag, epoch, age_s, origin, deps.
nb::dict explain(const nb::handle& function, const nb::args& args, const nb::kwargs& kwargs) {
  if (!is_cached_function(function.ptr())) throw nb::type_error("a cached function is wanted");
  auto* callable = reinterpret_cast<CachedFunction*>(function.ptr());
  if (callable->options->is_off) {
    nb::dict told;
    told["reason"] = "disabled";
    return told;
  }
  std::vector<PyObject*> all;
  for (const nb::handle& arg : args) all.push_back(arg.ptr());
  nb::list names;
  for (const auto& [name, value] : kwargs) {
    names.append(name);
    all.push_back(value.ptr());
  }
  const nb::tuple kwnames(names);
  const auto call = std::make_unique<Call>(callable, all.data(), args.size(),
                                           all.size() == args.size() ? nullptr : kwnames.ptr());
  const BindResult bound = call->prepare();
  if (bound == kBadCall) throw nb::type_error("explain(): the arguments do not fit the function");
  if (bound != kBound) throw nb::python_error();
  return tell(callable, *call);
}

}  // namespace

void bind_introspection(nb::module_& module) {
  module.def("stats", &stats);
  module.def("functions", &functions);
  module.def("load_bounds", &load_bounds);
  module.def("invalidations", &invalidations);
  module.def("tags", &tags);
  module.def("entries_below", &entries_below);
  module.def("tag_version", &tag_version);
  module.def("check_tag", &check_one_tag);
  module.def("explain", &explain);
}

}  // namespace zoocache::python
