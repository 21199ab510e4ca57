"""The ways to break the engine that its tests have to notice.

Each mutant is a replacement in one file of a copy of the sources. `old` must be there exactly once:
a mutant that no longer fits the code is an error, not a pass.
"""

from __future__ import annotations

from dataclasses import dataclass

LOG = "src/core/log.cpp"
ENGINE = "src/core/engine_impl.h"
# How an invalidated key gets its epoch.
KEY_EPOCH = (
    "  const Epoch epoch =\n      level_ == nullptr\n          ? log_.apply(own.path(), origin)\n"
    "          : log_.apply(std::array{HiddenTag(function.tag_id, kAnyKey).path(), own.path()}, "
    "origin);\n"
)
UPKEEP = "src/core/engine_upkeep.h"
CALL = "src/cpp/call.cpp"
BOUNDARY = "src/cpp/boundary.cpp"
RING = "src/core/invalidation_ring.h"

# Gives other threads a turn where the broken order can be seen.
YIELD = "std::this_thread::yield();"
PAUSE = "std::this_thread::sleep_for(std::chrono::microseconds(50));"

BORN = "thread_local Epoch loading_born = 0;"


@dataclass(frozen=True)
class Mutant:
    """One way to break one file.

    Attributes:
        name: what is broken.
        model: the Spin model and mutant of the same fault, or "".
        file: below the repository's root.
        old, new: the replacement.
        tests: gtest filter of the tests that should notice.
        program: the test program, below tests/cpp; one named core_* is built with src/core alone.
        also: more replacements in the same file.
        quick: whether the short run tries it.
    """

    name: str
    model: str
    file: str
    old: str
    new: str
    tests: str = "*"
    program: str = "linearizability_test"
    also: tuple[tuple[str, str], ...] = ()
    quick: bool = False


MUTANTS = [
    Mutant(
        "the clock is published before the versions are written",
        "in_process (order)",
        LOG,
        "  const Epoch epoch = clock_.load(std::memory_order_relaxed) + 1;  // (1)\n",
        "  const Epoch epoch = clock_.load(std::memory_order_relaxed) + 1;  // (1)\n"
        f"  clock_.store(epoch, std::memory_order_release);\n  {PAUSE}\n",
        quick=True,
    ),
    Mutant(
        "the epoch is allocated outside the mutex",
        "in_process without MUTEX",
        LOG,
        "  const std::lock_guard lock(mutex_);\n"
        "  const Epoch epoch = clock_.load(std::memory_order_relaxed) + 1;  // (1)\n",
        "  const Epoch epoch = clock_.load(std::memory_order_relaxed) + 1;  // (1)\n"
        f"  {PAUSE}\n  const std::lock_guard lock(mutex_);\n",
    ),
    Mutant(
        "born is read after the loader ran",
        "in_process BORN_AFTER",
        CALL,
        "      engine.log().bind(flight_->deps, function.node, &own.path(), flight_->born, "
        "&entry.deps);\n",
        "      (flight_->born = engine.log().clock(),\n"
        "       engine.log().bind(flight_->deps, function.node, &own.path(), flight_->born, "
        "&entry.deps));\n",
    ),
    Mutant(
        "validated becomes the clock that is read after the walk",
        "in_process VAT_AFTER",
        ENGINE,
        "  // The clock that was loaded before the walk: a newer one could cover what the walk "
        "missed.\n",
        f"  {YIELD}\n  clock = log_.clock();\n",
    ),
    Mutant(
        "a follower takes the leader's value unchecked",
        "in_process FOLLOW without FOLLOW_CHECK",
        CALL,
        "  bool fresh = flight->born >= arrival_;\n",
        "  bool fresh = true;\n",
        quick=True,
    ),
    Mutant(
        "a new node starts at 0 and the ring is not asked",
        "ring NORING",
        LOG,
        "                                          : ring_.newest(path[index].hash);\n",
        "                                          : 0;\n",
    ),
    Mutant(
        "a ring that does not reach back to born counts as clean",
        "ring NOREACH",
        LOG,
        "  if (!all_nodes && ring_.floor() > born) return Standing::kForgotten;\n",
        "",
        "LogOracle*:*LogAgainstOracle*",
        "core_log_test",
        quick=True,
    ),
    Mutant(
        "a new node starts at version 0",
        "ring ZERO",
        LOG,
        "      below = trie_.create(node, path, index, std::max(known, ring_.floor()));\n",
        "      below = trie_.create(node, path, index, known * 0);\n",
        "*TinyCapacity*:*SlowLoaders*:*LogOracle*",
        "core_log_test",
        quick=True,
    ),
    # With a node that starts at what the ring knows, the gap alone would do no harm: the entry
    # would be stored dead. So the node starts at the birth of the load, the other rule that is safe
    # when the check and the creation are one step.
    Mutant(
        "the ring is checked first and the node created later",
        "ring without ATOMIC",
        LOG,
        "  if (standing != Standing::kCurrent) return standing;\n  try {\n",
        "  if (standing != Standing::kCurrent) return standing;\n  loading_born = born;\n"
        f"  mutex_.unlock();\n  {PAUSE}\n  mutex_.lock();\n  try {{\n",
        also=(
            (
                "TagNode* InvalidationLog::ensure(const TagPath& path) {\n",
                f"{BORN}\nTagNode* InvalidationLog::ensure(const TagPath& path) {{\n",
            ),
            ("std::max(known, ring_.floor())", "std::max(loading_born, known * 0)"),
        ),
    ),
    Mutant(
        "a new node starts at the floor, whatever younger the ring knows",
        "ring ZERO",
        LOG,
        "std::max(known, ring_.floor())",
        "std::max(known * 0, ring_.floor())",
        program="core_standing_test",
    ),
    Mutant(
        "a hit does not pass its dependencies to the outer load",
        "",
        BOUNDARY,
        "      if (in_load) note_hit(function, hash, engine.slab().cold(id));\n",
        "",
        "*Nested*:*Outer*",
        quick=True,
    ),
    Mutant(
        "a load does not pass its dependencies to the outer load",
        "",
        CALL,
        "  tell_outer(*flight_);\n  flight().value = value;\n",
        "  flight().value = value;\n",
        "*Nested*:*Outer*",
    ),
    Mutant(
        "the hidden dependency on the inner key is left out",
        "",
        "src/core/load_frame.h",
        "    if (!takes()) return;\n    deps_.add_key(inner);\n    deps_.merge(deps);\n",
        "    if (!takes()) return;\n    deps_.merge(deps);\n",
        "*Outer*",
    ),
    Mutant(
        "invalidating one key does not go through the log",
        "",
        ENGINE,
        KEY_EPOCH,
        "  const Epoch epoch = log_.clock();\n",
        "*Key*",
    ),
    Mutant(
        "clear() does not go through the log",
        "",
        "src/cpp/cache.cpp",
        "  log.invalidate_root();\n",
        "",
        "*Clear*",
    ),
    Mutant(
        "an invalidation does not reach below the tag",
        "",
        "src/core/tag_trie.h",
        "  for (; node != nullptr; node = node->parent) {\n"
        "    if (node->version.load(std::memory_order_acquire) > born) return false;\n  }\n",
        "  if (node->version.load(std::memory_order_acquire) > born) return false;\n",
        "*Parents*",
    ),
    Mutant(
        "only the first of several tags is written",
        "",
        LOG,
        "    ring_.append(epoch, path.back().hash, note);                                 // (3)\n",
        "    ring_.append(epoch, path.back().hash, note);                                 // (3)\n"
        "    break;\n",
        "*Several*",
    ),
    Mutant(
        "the bloom filter forgets part of the paths",
        "bloom",
        "src/core/dependencies.cpp",
        "      for (; node->parent != nullptr; node = node->parent) list->insert(node->hash);\n",
        "      if (node->hash % 2 == 0) list->insert(node->hash);\n",
        "*ManyDependencies*",
    ),
    Mutant(
        "a revalidation beyond its reach counts as clean",
        "bloom REACH",
        RING,
        "    return whole ? Answer::kNone : Answer::kUnknown;\n",
        "    return Answer::kNone;\n",
        "*ManyDependencies*",
    ),
    Mutant(
        "removed entries are freed while readers may hold them",
        "",
        UPKEEP,
        "retired_era + 2 <= era",
        "retired_era <= era",
        "*AHitIsTheValueOfItsKey*",
    ),
    # What is dead has to stay until it is replaced, or there is hardly ever a slot to refill.
    Mutant(
        "an entry is refilled in place",
        "",
        ENGINE,
        "    remove_locked(existing, Removal::kReplaced, removed);\n  }\n",
        "    HotEntry& refilled = slab_.hot(existing);\n"
        "    slab_.cold(existing).born = entry.born;\n"
        "    slab_.cold(existing).deps = entry.deps;\n"
        "    refilled.state.store(state::with_validated(entry.user_bits, entry.born),\n"
        "                         std::memory_order_relaxed);\n"
        f"    {PAUSE}\n"
        "    refilled.key = entry.key;\n"
        "    refilled.value = entry.value;\n"
        "    return StoreOutcome::kStored;\n  }\n",
        also=(
            (
                "    if (same) remove_locked(id, reason, removed);\n",
                "    if (same && value == 0) remove_locked(id, reason, removed);\n",
            ),
        ),
    ),
    Mutant(
        "a leader finishes the flight before it stores",
        "",
        CALL,
        "    flight_->deps_complete = true;\n    store(value, gathered);\n",
        "    flight_->deps_complete = true;\n    flight().value = value;\n"
        "    cache_.flights.finish(flight_, core::FlightState::kDone);\n"
        f"    {PAUSE}\n    store(value, gathered);\n",
        "*OneExecution*",
        "front_flight_test",
    ),
    Mutant(
        "a new leader does not look into the table once more",
        "",
        CALL,
        "  if (!joined.leads) return Join::kFollow;\n",
        f"  {YIELD}\n  if (joined.leads) return Join::kLead;\n  return Join::kFollow;\n",
        "*OneExecution*",
        "front_flight_test",
    ),
    Mutant(
        "a held tag does not keep loads from being stored",
        "",
        LOG,
        "  return is_held(path) ? Standing::kHeld : Standing::kCurrent;\n",
        "  return Standing::kCurrent;\n",
        "*Held*",
        "core_log_test",
        quick=True,
    ),
    Mutant(
        "cycles of waits are not looked for",
        "",
        "src/core/flight.h",
        "      if (reaches(*flight, enclosing)) return Following::kCycle;\n",
        "",
        "*Cycle*",
        "core_flight_test",
    ),
]
