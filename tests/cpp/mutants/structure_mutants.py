"""Broken parts of the engine: each has to be noticed by the test that has an oracle beside it."""

from __future__ import annotations

from mutants import ENGINE, KEY_EPOCH, LOG, PAUSE, RING, UPKEEP, Mutant

TRIE = "src/core/tag_trie.cpp"
EVICTION = "src/core/eviction.h"
INDEX = "src/core/index.h"
FLIGHT = "src/core/flight.h"
DEP_SET = "src/core/dep_set.cpp"
RECLAIM = "src/core/reclaim.h"

STRUCTURE_MUTANTS = [
    Mutant(
        "a key's invalidation is published before its entry is taken out",
        "",
        ENGINE,
        "  const auto same_hash = [&](EntryId id) { return slab_.hot(id).hash == hash; };\n",
        "  const auto same_hash = [&](EntryId id) { return slab_.hot(id).hash == hash; };\n"
        f"  log_.apply(own.path(), origin);\n  mutex_.unlock();\n  {PAUSE}\n"
        "  mutex_.lock();\n",
        "*InvalidatingOneKey*",
        also=(
            (
                KEY_EPOCH,
                "  const Epoch epoch = log_.clock();\n",
            ),
        ),
    ),
    Mutant(
        "a store does not ask whether its own key was invalidated meanwhile",
        "",
        ENGINE,
        "    if (standing != InvalidationLog::Standing::kCurrent) return "
        "StoreOutcome::kSuperseded;\n",
        "    static_cast<void>(standing);\n",
        program="core_engine_test",
        quick=True,
    ),
    Mutant(
        "an older load replaces the entry of a younger one",
        "",
        ENGINE,
        "    if (slab_.cold(existing).born > entry.born && ",
        "    if (slab_.cold(existing).born > entry.born + 100 && ",
        program="core_engine_test",
    ),
    Mutant(
        "one entry more than max_entries",
        "",
        ENGINE,
        "  while (entries() >= options_.max_entries) ",
        "  while (entries() > options_.max_entries) ",
        program="core_engine_test",
    ),
    Mutant(
        "the declared size of a value wraps round",
        "",
        ENGINE,
        "  size_bytes += std::min(entry.value_bytes, kUnbounded - size_bytes);\n",
        "  size_bytes += entry.value_bytes;\n",
        program="core_engine_test",
    ),
    Mutant(
        "the bytes of removed entries stay accounted",
        "",
        ENGINE,
        "  bytes_.store(bytes() - cold.size_bytes, std::memory_order_relaxed);\n",
        "",
        program="core_engine_test",
    ),
    Mutant(
        "an entry lives one tick longer than its time",
        "",
        ENGINE,
        "    if (now >= cold.expires_ns.load(std::memory_order_relaxed)) ",
        "    if (now > cold.expires_ns.load(std::memory_order_relaxed)) ",
        program="core_engine_test",
    ),
    Mutant(
        "dead entries are not swept",
        "",
        UPKEEP,
        "    remove_locked(id, removal_of(validity), removed);\n",
        "",
        program="core_engine_test",
    ),
    Mutant(
        "the sweep takes the living along",
        "",
        UPKEEP,
        "    if (validity == Validity::kValid || stale(id, function).kept) continue;",
        "    if (validity == Validity::kValid && id % 64 != 0) continue;",
        program="core_engine_test",
    ),
    Mutant(
        "clear() leaves what it removed to later stores",
        "",
        UPKEEP,
        "    for (int turn = 0; turn < 3; ++turn) ",
        "    for (int turn = 0; turn < 0; ++turn) ",
        program="core_engine_test",
    ),
    Mutant(
        "what a failed store owned is lost",
        "",
        ENGINE,
        "    outcome = place(function, entry, matches, lock, removed);\n"
        "  } catch (const std::bad_alloc&) {\n"
        "    outcome = StoreOutcome::kNoRoom;\n",
        "    outcome = place(function, entry, matches, lock, removed);\n"
        "  } catch (const std::bad_alloc&) {\n"
        "    return StoreOutcome::kNoRoom;\n",
        program="core_memory_test",
        quick=True,
    ),
    Mutant(
        "a path that is made half stays in the trie",
        "",
        LOG,
        "    trie_.release(node);  // takes along what was created above it for nobody\n",
        "",
        program="core_memory_test",
    ),
    Mutant(
        "nodes are told apart by their hash alone",
        "",
        TRIE,
        "node->parent == parent &&\n                              "
        "node->segment() == path.segment(index))) {\n",
        "node->parent == parent)) {\n",
        program="core_trie_test",
        quick=True,
    ),
    Mutant(
        "parents stay when their last child goes",
        "",
        TRIE,
        "    node = parent;\n  }\n",
        "    break;\n  }\n",
        program="core_trie_test",
    ),
    Mutant(
        "an ancestor's node is freed below its children",
        "",
        TRIE,
        "node->holders_ == 0 && node->children_ == 0",
        "node->holders_ == 0",
        program="core_trie_test",
    ),
    Mutant(
        "a slot that was overwritten meanwhile is believed",
        "bloom SLOT",
        RING,
        "      if (before != after || before == 0 || before > expected) return Answer::kUnknown;\n",
        "",
        "Ring.*",
        program="core_ring_test",
    ),
    Mutant(
        "a young ring that turned over before the first look counts as clean",
        "bloom SLOT",
        RING,
        "    const bool whole = head <= kMaxScan && head_.load(std::memory_order_relaxed) "
        "< mask_ + 1;\n",
        "    const bool whole = head <= kMaxScan && head <= mask_ + 1;\n",
        "*YoungRing*",
        program="core_ring_test",
        also=(
            (
                "    Epoch expected = ~Epoch{0};  // epochs",
                f"    {PAUSE}\n    Epoch expected = ~Epoch{{0}};  // epochs",
            ),
        ),
    ),
    Mutant(
        "the floor is one record late",
        "ring NOREACH",
        RING,
        "    if (sequence > mask_ + 1) floor_ = ",
        "    if (sequence > mask_ + 2) floor_ = ",
        program="core_ring_test",
    ),
    Mutant(
        "functions' own nodes are not asked at a store",
        "",
        LOG,
        "  if (!is_current(top, born)) return Standing::kInvalidated;\n",
        "  static_cast<void>(top);\n",
        program="core_standing_test",
    ),
    Mutant(
        "keys of inner calls are not asked at a store",
        "",
        LOG,
        "    const Standing one = judge(HiddenTag(key.function_id, key.key_hash).path(), born);\n",
        "    const Standing one = judge(HiddenTag(key.function_id + 1000, key.key_hash).path(), "
        "born);\n",
        program="core_standing_test",
        quick=True,
    ),
    Mutant(
        "a hold on a parent does not reach below",
        "",
        LOG,
        "    if (held_.contains(path[index].hash)) return true;\n",
        "    if (held_.contains(path.back().hash)) return true;\n",
        program="core_standing_test",
    ),
    Mutant(
        "equal dependencies stay held twice",
        "",
        LOG,
        "        if (a == b) trie_.release(b);\n",
        "",
        program="core_dependencies_test",
    ),
    Mutant(
        "a load does not hold the nodes of inner entries",
        "",
        DEP_SET,
        "  log_->hold(nodes);\n",
        "",
        program="core_dependencies_test",
        quick=True,
    ),
    Mutant(
        "a load never lets go of the nodes of inner entries",
        "",
        DEP_SET,
        "  if (!nodes().empty()) log_->release(nodes());\n",
        "",
        program="core_dependencies_test",
    ),
    Mutant(
        "the ghost queue is never asked",
        "",
        EVICTION,
        "    const bool known = ghost_.take(ghost_hash(id), ghost_window());\n",
        "    const bool known = false;\n",
        program="core_eviction_test",
    ),
    Mutant(
        "the main queue does not count down",
        "",
        EVICTION,
        "small_turn ? 0 : frequency - 1",
        "small_turn ? 0 : frequency / 2",
        program="core_eviction_test",
    ),
    Mutant(
        "the small queue's share is that of the bound, not of the entries",
        "",
        EVICTION,
        "    const std::size_t small_most = small_share(entries());\n",
        "    const std::size_t small_most = small_share(max_entries_);\n",
        program="core_eviction_test",
        quick=True,
    ),
    Mutant(
        "a removed slot always becomes empty",
        "",
        INDEX,
        "    if (slot_at(slots, slots->next(at)).load(std::memory_order_relaxed) == kEmpty) {\n",
        "    if (at < slots->capacity) {\n",
        program="core_table_test",
    ),
    Mutant(
        "a rebuilt index is published before it is filled",
        "",
        INDEX,
        "    Slots* old = slots_.load(std::memory_order_relaxed);\n    for (std::size_t at = 0; "
        "old != nullptr",
        "    Slots* old = slots_.load(std::memory_order_relaxed);\n"
        "    slots_.store(fresh, std::memory_order_release);\n    for (std::size_t at = 0; "
        "old != nullptr",
        program="core_table_test",
    ),
    Mutant(
        "readers do not announce themselves",
        "",
        RECLAIM,
        "    if (record_.depth++ != 0) return;\n",
        "    if (record_.depth++ != 100) return;\n",
        program="core_reclaim_test",
    ),
    Mutant(
        "eras advance over readers",
        "",
        "src/core/reclaim.cpp",
        "    if (seen != 0 && seen != era) return era;\n",
        "    static_cast<void>(seen);\n",
        program="core_reclaim_test",
        quick=True,
    ),
    Mutant(
        "who gave up waiting still counts as waiting",
        "wait",
        FLIGHT,
        "    if (!enclosing.empty()) leave_nested(*enclosing.front(), *flight);\n",
        "",
        program="core_flight_test",
    ),
    Mutant(
        "waits are searched one step deep",
        "wait",
        FLIGHT,
        "      open.insert(open.end(), flight->waits_for_.begin(), flight->waits_for_.end());\n",
        "      if (flight == &from) {\n"
        "        open.insert(open.end(), flight->waits_for_.begin(), flight->waits_for_.end());\n"
        "      }\n",
        program="core_flight_test",
        quick=True,
    ),
    Mutant(
        "who left is woken all the same",
        "",
        FLIGHT,
        "        flight->waiters_.erase(at);\n        return;\n",
        "        *at = dropped;\n        return;\n",
        program="core_flight_test",
    ),
    Mutant(
        "an ended flight takes followers",
        "",
        FLIGHT,
        "      return Following::kEnded;\n",
        "      if (flight == nullptr) return Following::kEnded;\n",
        program="core_flight_test",
    ),
]
