#include "python/explain.h"

#include <nanobind/stl/string.h>

#include <memory>
#include <string>
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

nb::dict stats(const nb::handle& core) {
  const StatePtr state = state_of(core);
  auto& engine = state->engine;
  const core::FunctionTotals totals = engine.totals();
  nb::dict told;
  told["hits"] = totals.hits;
  told["misses"] = totals.misses;
  told["loads"] = totals.loads;
  told["load_errors"] = totals.load_errors;
  told["stores"] = totals.stores;
  told["not_stored"] = totals.not_stored;
  told["evictions"] = totals.evictions;
  told["expirations"] = totals.expirations;
  told["dead_entries"] = totals.dead_entries;
  told["flights_joined"] = totals.flights_joined;
  told["stale_hits"] = totals.stale_hits;
  told["refreshes"] = totals.refreshes;
  told["l2_hits"] = totals.level_hits;
  told["l2_stores"] = totals.level_stores;
  told["l2_refusals"] = totals.level_refusals;
  told["invalidations"] = engine.log().clock();
  told["entries"] = engine.entries();
  told["bytes"] = engine.bytes();
  told["tags"] = engine.log().visible_tag_count();
  told["clock"] = engine.log().clock();
  told["flights"] = state->flights.size();
  return told;
}

nb::str tag_string(const std::string& tag) {
  return nb::steal<nb::str>(
      PyUnicode_DecodeUTF8(tag.data(), static_cast<Py_ssize_t>(tag.size()), "replace"));
}

// [(tag, version, entries)], sorted by tag.
nb::list tags(const nb::handle& core, const nb::handle& prefix) {
  std::string_view text;
  if (!tag_text(prefix.ptr(), "tags", &text)) throw nb::python_error();
  nb::list rows;
  for (const auto& row : state_of(core)->engine.log().rows(text)) {
    rows.append(nb::make_tuple(tag_string(row.tag), row.version, row.holders));
  }
  return rows;
}

core::Epoch tag_version(const nb::handle& core, const nb::handle& tag) {
  std::string_view text;
  if (!tag_text(tag.ptr(), "get_tag_version", &text)) throw nb::python_error();
  const StatePtr state = state_of(core);
  core::Epoch version = 0;
  const bool good = guarded([&] {
    const std::size_t max_length = state->engine.options().max_tag_length;
    version = state->engine.log().version(core::TagPath::parse(text, max_length));
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
  for (const std::string& dep : deps) list.append(tag_string(dep));
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
    if (known.hidden == nullptr) told["tag"] = tag_string(known.tag);
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
      if (user_tag) told["tag"] = tag_string(one.tag);
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
  module.def("tags", &tags);
  module.def("tag_version", &tag_version);
  module.def("check_tag", &check_one_tag);
  module.def("explain", &explain);
}

}  // namespace zoocache::python
