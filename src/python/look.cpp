#include "python/look.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/home.h"
#include "core/second_level.h"
#include "python/core_type.h"
#include "python/errors.h"

namespace nb = nanobind;

namespace zoocache::python {
namespace {

Core* core_of(const nb::handle& core) {
  if (Py_TYPE(core.ptr()) != &CoreType) throw nb::type_error("a Core is wanted");
  return reinterpret_cast<Core*>(core.ptr());
}

// Texts are bytes: nobody checked them.
nb::bytes bytes_of(std::string_view text) { return nb::bytes(text.data(), text.size()); }

std::string text_of(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

// work(home), where there is one; it has found out what has become of the home.
template <class Work>
bool ask_home(const nb::handle& core, Work&& work) {
  StatePtr* state = core_state(core_of(core));
  if (state == nullptr) throw nb::python_error();
  const StatePtr kept = *state;
  core::InvalidationLog& log = kept->engine.log();
  if (log.home() == nullptr) return false;
  const bool done = guarded_without_gil([&] {
    log.arrive();
    work(*log.home());
  });
  if (!done) throw nb::python_error();
  return true;
}

// The storage is used without an engine, which would take part in its home.
std::shared_ptr<core::SecondLevel> level_of(const nb::handle& core) {
  const StoragePtr& storage = core_of(core)->options->engine.storage;
  return storage == nullptr ? nullptr : storage->connect();
}

nb::list list_of(const core::Facts& facts) {
  nb::list told;
  for (const auto& [name, value] : facts) {
    told.append(nb::make_tuple(bytes_of(name), bytes_of(value)));
  }
  return told;
}

// (core, texts) -> (generation, clock, floor, tags, epochs); None without a home.
nb::object home_look(const nb::handle& core, const nb::list& texts) {
  std::vector<std::string> wanted;
  for (const nb::handle text : texts) wanted.push_back(text_of(nb::cast<nb::bytes>(text)));
  core::HomeLook found;
  if (!ask_home(core, [&](core::LogHome& home) { found = home.look(wanted); })) return nb::none();
  nb::list epochs;
  for (const core::Epoch epoch : found.epochs) epochs.append(epoch);
  return nb::make_tuple(found.generation, found.clock, found.floor, found.tags, epochs);
}

// (core, from, most) -> ([(text, epoch)], next)
nb::tuple home_rows(const nb::handle& core, const nb::bytes& from, std::size_t most) {
  core::HomeRows found;
  const std::string start = text_of(from);
  ask_home(core, [&](core::LogHome& home) { found = home.rows(start, most); });
  nb::list rows;
  for (const core::HomeRow& row : found.rows) {
    rows.append(nb::make_tuple(bytes_of(row.text), row.epoch));
  }
  return nb::make_tuple(rows, bytes_of(found.next));
}

// (core) -> [(name, applied, beat, uses_log, uses_values)]
nb::list home_nodes(const nb::handle& core) {
  std::vector<core::HomeNode> found;
  ask_home(core, [&](core::LogHome& home) { found = home.nodes(); });
  nb::list nodes;
  for (const core::HomeNode& one : found) {
    nodes.append(
        nb::make_tuple(bytes_of(one.name), one.applied, one.beat, one.uses_log, one.uses_values));
  }
  return nodes;
}

nb::list home_facts(const nb::handle& core) {
  core::Facts facts;
  ask_home(core, [&](core::LogHome& home) { facts = home.facts(); });
  return list_of(facts);
}

// (core, tag, most_bytes, wait_s) -> (asked, [(node, told)]): see core::Inspection.
nb::tuple home_inspect(const nb::handle& core, const nb::bytes& tag, std::size_t most_bytes,
                       double wait_s) {
  core::Inspection question;
  question.tag = text_of(tag);
  question.most_bytes = most_bytes;
  question.wait = std::chrono::nanoseconds(static_cast<std::int64_t>(wait_s * 1e9));
  core::Inspected found;
  ask_home(core, [&](core::LogHome& home) { found = home.inspect(question); });
  nb::list answers;
  for (const core::ProcessTold& one : found.answers) {
    answers.append(nb::make_tuple(bytes_of(one.node), bytes_of(one.told)));
  }
  return nb::make_tuple(found.asked, answers);
}

// What can kill an entry: its dependencies and all that is above them; None: it is none of ours.
nb::object killers_of(const core::LevelEntry& entry) {
  std::vector<std::string> texts;
  const core::Epoch none = core::newest_of(entry.dependencies, [&texts](std::string_view text) {
    texts.emplace_back(text);
    return core::Epoch{0};
  });
  if (none == core::kForever) return nb::none();
  nb::list killers;
  for (const std::string& text : texts) killers.append(bytes_of(text));
  return killers;
}

// (core, from, most) -> ([(name, generation, born, size, lives_s, key, dependencies, killers)],
// next, unreadable)
nb::tuple storage_page(const nb::handle& core, const nb::bytes& from, std::size_t most) {
  const std::shared_ptr<core::SecondLevel> level = level_of(core);
  core::LevelPage found;
  const std::string start = text_of(from);
  const bool done = guarded_without_gil([&] {
    if (level != nullptr) found = level->page(start, most);
  });
  if (!done) throw nb::python_error();
  nb::list entries;
  for (const core::LevelEntry& one : found.entries) {
    nb::list dependencies;
    for (const std::string& text : one.dependencies) dependencies.append(bytes_of(text));
    entries.append(nb::make_tuple(bytes_of(one.name), one.generation, one.born, one.size_bytes,
                                  static_cast<double>(one.lives_ns) / 1e9, bytes_of(one.key),
                                  dependencies, killers_of(one)));
  }
  return nb::make_tuple(entries, bytes_of(found.next), found.unreadable);
}

nb::list storage_facts(const nb::handle& core) {
  const std::shared_ptr<core::SecondLevel> level = level_of(core);
  core::Facts facts;
  const bool done = guarded_without_gil([&] {
    if (level != nullptr) facts = level->facts();
  });
  if (!done) throw nb::python_error();
  return list_of(facts);
}

}  // namespace

void bind_looks(nb::module_& module) {
  module.def("home_look", &home_look);
  module.def("home_rows", &home_rows);
  module.def("home_nodes", &home_nodes);
  module.def("home_facts", &home_facts);
  module.def("home_inspect", &home_inspect);
  module.def("storage_page", &storage_page);
  module.def("storage_facts", &storage_facts);
}

}  // namespace zoocache::python
