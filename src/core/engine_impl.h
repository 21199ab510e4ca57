// Implementation of engine.h; include that one.
#pragma once

#include "core/engine.h"

namespace zoocache::core {

template <class Policy>
Engine<Policy>::Engine(const Options& options)
    : options_((check_options(options), options)),
      log_(options.ring_records, options.invalidation_records),
      shared_queue_(slab_, options.max_entries, options.max_bytes),
      obituaries_(options.explain_records) {
  if (options.home != nullptr) log_.set_home(options.home->connect());
  if (options.storage != nullptr) level_ = options.storage->connect();
}

template <class Policy>
Engine<Policy>::~Engine() {
  Removed removed(log_);
  const auto drop = [&](EntryId id, DropWords drop_words) {
    const HotEntry& hot = slab_.hot(id);
    removed.add_or_drop(drop_words, hot.key, hot.value, hot.state.load(std::memory_order_relaxed),
                        slab_.cold(id).deps);
  };
  for (const auto& function : functions_) {
    if (function == nullptr) continue;
    function->index.for_each([&](EntryId id) { drop(id, function->drop); });
    log_.release(function->node);
  }
  for (const Retired& one : retired_) drop(one.id, one.drop);
  while (retired_slots_ != nullptr) {
    Index::destroy(std::exchange(retired_slots_, retired_slots_->next_retired));
  }
}

template <class Policy>
Function<Policy>& Engine<Policy>::add_function(std::string name, const FunctionOptions& options,
                                               DropWords drop) {
  check_options(options);
  auto function = std::make_unique<FunctionType>();
  function->name = std::move(name);
  function->options = options;
  function->drop = drop;
  const Lock lock(mutex_);
  // What a home tells of functions it tells by name; two of one name die together then.
  function->tag_id = log_.home() != nullptr ? shared_function_id(function->name) : next_tag_id_++;
  function->node = log_.acquire(HiddenTag(function->tag_id).path());
  if (options.max_entries != kUnbounded || options.max_bytes != kUnbounded) {
    function->own_queue.emplace(slab_, options.max_entries, options.max_bytes);
  }
  FunctionType& made = *function;
  if (free_functions_.empty()) {
    made.slot = static_cast<std::uint32_t>(functions_.size());
    functions_.push_back(std::move(function));
  } else {
    made.slot = free_functions_.back();
    free_functions_.pop_back();
    functions_[made.slot] = std::move(function);
  }
  return made;
}

template <class Policy>
void Engine<Policy>::remove_function(FunctionType& function, Removed& removed) {
  clear_function(function, removed);
  const Lock lock(mutex_);
  const std::uint32_t slot = function.slot;
  free_functions_.push_back(slot);  // before the rest, which cannot fail
  log_.release(function.node);
  removed_totals_.add(function.hits.sum(), function.counters);
  functions_[slot].reset();
}

template <class Policy>
template <class Matches>
EntryId Engine<Policy>::find(const FunctionType& function, std::uint64_t hash,
                             Matches&& matches) const {
  for (;;) {
    Match answer = Match::kNo;
    const EntryId found = function.index.probe(hash, [&](EntryId id) {
      const HotEntry& hot = slab_.hot(id);
      if (hot.hash != hash) return false;
      answer = matches(hot);
      return answer != Match::kNo;
    });
    if (answer == Match::kRestart) continue;
    return answer == Match::kYes ? found : kNoEntry;
  }
}

template <class Policy>
Validity Engine<Policy>::check(EntryId id, const FunctionType& function, Epoch clock) noexcept {
  HotEntry& hot = slab_.hot(id);
  ColdEntry& cold = slab_.cold(id);
  std::uint64_t seen = hot.state.load(std::memory_order_relaxed);
  if ((seen & state::kTimed) != 0) {
    const std::int64_t now = now_ns();
    if (now >= cold.expires_ns.load(std::memory_order_relaxed)) return Validity::kExpired;
    if (cold.sliding_s > 0) {
      const auto more = static_cast<std::int64_t>(static_cast<double>(cold.sliding_s) * 1e9);
      cold.expires_ns.store(now + more, std::memory_order_relaxed);
    }
  }
  if (state::validated(seen) >= clock) return Validity::kValid;
  if (!is_current(function.node, cold.born) ||
      !cold.deps.is_current(cold.born, state::validated(seen), clock, log_.ring())) {
    return Validity::kInvalidated;
  }
  // The clock that was loaded before the walk: a newer one could cover what the walk missed.
  while (state::validated(seen) < clock &&
         !hot.state.compare_exchange_weak(seen, state::with_validated(seen, clock),
                                          std::memory_order_relaxed)) {
  }
  return Validity::kValid;
}

template <class Policy>
Validity Engine<Policy>::inspect(EntryId id, const FunctionType& function) const noexcept {
  const ColdEntry& cold = slab_.cold(id);
  const std::int64_t expires = cold.expires_ns.load(std::memory_order_relaxed);
  if (expires != 0 && now_ns() >= expires) return Validity::kExpired;
  const Epoch clock = log_.clock();  // before the state: a later clock could cover too much
  const Epoch validated = state::validated(slab_.hot(id).state.load(std::memory_order_relaxed));
  const bool current =
      validated >= clock || (is_current(function.node, cold.born) &&
                             cold.deps.is_current(cold.born, validated, clock, log_.ring()));
  return current ? Validity::kValid : Validity::kInvalidated;
}

template <class Policy>
void Engine<Policy>::raise_frequency(HotEntry& hot, std::uint64_t seen) noexcept {
  if constexpr (Policy::kConcurrent) {
    // One try: losing a race costs a little accuracy, not a loop.
    hot.state.compare_exchange_weak(seen, seen + 1, std::memory_order_relaxed);
  } else {
    hot.state.store(seen + 1, std::memory_order_relaxed);
  }
}

// Finds the entry of the same key and leaves with the lock held. Comparisons may be users' code
// and run without it: what they answered is remembered by the key's word, and the search begins
// anew until every candidate is known.
template <class Policy>
template <class Matches>
StoreOutcome Engine<Policy>::locate(FunctionType& function, std::uint64_t hash, Matches&& matches,
                                    Lock& lock, EntryId* existing) {
  struct Known {
    Word key;
    bool equal;
  };
  std::vector<Known> known;
  for (;;) {
    lock.lock();
    EntryId unknown = kNoEntry;
    *existing = function.index.probe(hash, [&](EntryId id) {
      const HotEntry& hot = slab_.hot(id);
      if (hot.hash != hash) return false;
      for (const Known& one : known) {
        if (one.key == hot.key) return one.equal;
      }
      unknown = id;
      return true;
    });
    if (unknown == kNoEntry) return StoreOutcome::kStored;
    lock.unlock();
    const HotEntry& hot = slab_.hot(unknown);
    const Word key = hot.key;
    switch (matches(hot)) {
      case Match::kNo:
        known.push_back({key, false});
        break;
      case Match::kYes:
        known.push_back({key, true});
        break;
      case Match::kRestart:
        known.clear();
        break;
      case Match::kFail:
        return StoreOutcome::kFailed;
    }
  }
}

template <class Policy>
template <class Matches>
StoreOutcome Engine<Policy>::store(FunctionType& function, const NewEntry& entry, Matches&& matches,
                                   Removed& removed) {
  const Guard guard;  // keeps a candidate from being freed while it is compared
  Lock lock(mutex_, std::defer_lock);
  const auto refuse = [&] {
    if (lock.owns_lock()) lock.unlock();
    count(function.counters.not_stored);
    removed.add_or_drop(function.drop, entry.key, entry.value, entry.user_bits, entry.deps);
  };
  StoreOutcome outcome = StoreOutcome::kNoRoom;
  try {
    outcome = place(function, entry, matches, lock, removed);
  } catch (const std::bad_alloc&) {
    outcome = StoreOutcome::kNoRoom;
  } catch (...) {
    refuse();
    throw;
  }
  if (outcome != StoreOutcome::kStored) {
    refuse();
    if (outcome == StoreOutcome::kNoRoom) {
      note_not_stored(function, entry.hash, Removal::kNoRoom);
    }
    return outcome;
  }
  count(function.counters.stores);
  try {
    sweep(removed);
    poll(removed);
  } catch (const std::bad_alloc&) {
    return outcome;  // a later store goes on with it
  }
  return outcome;
}

template <class Policy>
template <class Matches>
StoreOutcome Engine<Policy>::place(FunctionType& function, const NewEntry& entry, Matches&& matches,
                                   Lock& lock, Removed& removed) {
  EntryId existing = kNoEntry;
  const StoreOutcome located = locate(function, entry.hash, matches, lock, &existing);
  if (located != StoreOutcome::kStored) return located;
  if (log_.clock() != entry.born) {
    const HiddenTag own(function.tag_id, entry.hash);
    const auto standing = log_.standing(DepSet(log_), function.node, &own.path(), entry.born);
    if (standing != InvalidationLog::Standing::kCurrent) return StoreOutcome::kSuperseded;
  }
  if (existing != kNoEntry) {
    const Validity found = inspect(existing, function);
    if (slab_.cold(existing).born > entry.born && found == Validity::kValid) {
      return StoreOutcome::kSuperseded;
    }
    if (found == Validity::kExpired) count(function.counters.expirations);
    if (found == Validity::kInvalidated) {
      count(function.counters.dead_entries);
      log_.note_death(killer_of(function, existing).version.load(std::memory_order_acquire));
    }
    remove_locked(existing, Removal::kReplaced, removed);
  }
  std::size_t size_bytes = kEntryBytes + entry.deps.size_bytes();
  size_bytes += std::min(entry.value_bytes, kUnbounded - size_bytes);
  if (!make_room(queue_of(function), size_bytes, removed)) return StoreOutcome::kNoRoom;
  insert(function, entry, size_bytes);
  return StoreOutcome::kStored;
}

template <class Policy>
bool Engine<Policy>::make_room(EvictionQueue& own, std::size_t size_bytes, Removed& removed) {
  if (own.max_entries() == 0 || size_bytes > own.max_bytes() || size_bytes > options_.max_bytes) {
    return false;
  }
  while (!own.has_room(size_bytes)) evict_from(own, removed);
  while (entries() >= options_.max_entries) evict_from(largest(false), removed);
  while (size_bytes > options_.max_bytes - std::min(bytes(), options_.max_bytes)) {
    evict_from(largest(true), removed);
  }
  return true;
}

template <class Policy>
void Engine<Policy>::evict_from(EvictionQueue& queue, Removed& removed) {
  Removal reason = Removal::kEvicted;
  const EntryId victim = queue.choose([&](EntryId id) {
    const FunctionType& function = *functions_[slab_.cold(id).function];
    const Validity validity = inspect(id, function);
    if (validity == Validity::kValid || stale(id, function).kept) return false;
    reason = removal_of(validity);
    return true;
  });
  if (victim != kNoEntry) remove_locked(victim, reason, removed);
}

template <class Policy>
EvictionQueue& Engine<Policy>::largest(bool by_bytes) noexcept {
  EvictionQueue* found = &shared_queue_;
  for (const auto& function : functions_) {
    if (function == nullptr || !function->own_queue) continue;
    EvictionQueue& queue = *function->own_queue;
    const bool larger =
        by_bytes ? queue.bytes() > found->bytes() : queue.entries() > found->entries();
    if (larger) found = &queue;
  }
  return *found;
}

template <class Policy>
void Engine<Policy>::insert(FunctionType& function, const NewEntry& entry, std::size_t size_bytes) {
  retire_slots(function.index.reserve());
  const EntryId id = slab_.allocate();
  HotEntry& hot = slab_.hot(id);
  hot.hash = entry.hash;
  hot.key = entry.key;
  hot.value = entry.value;
  const std::uint64_t timed = entry.expires_ns != 0 ? state::kTimed : 0;
  hot.state.store(state::with_validated(entry.user_bits | timed, entry.born),
                  std::memory_order_relaxed);
  ColdEntry& cold = slab_.cold(id);
  cold.born = entry.born;
  cold.deps = entry.deps;
  cold.expires_ns.store(entry.expires_ns, std::memory_order_relaxed);
  cold.sliding_s = entry.sliding_s;
  cold.function = function.slot;
  cold.size_bytes = std::min(size_bytes, kLargestSize) & kLargestSize;
  queue_of(function).insert(id);
  // One writer at a time, so that no atomic addition is needed.
  entries_.store(entries() + 1, std::memory_order_relaxed);
  bytes_.store(bytes() + cold.size_bytes, std::memory_order_relaxed);
  if ((entry.user_bits & state::kCounted) != 0) ++function.counted;
  function.index.insert(entry.hash, id, entry.key);  // published: from here on readers find it
}

template <class Policy>
void Engine<Policy>::remove(FunctionType& function, EntryId id, Word value, Removal reason,
                            Removed& removed) {
  const Lock lock(mutex_);
  const bool same = slab_.has_chunk(id) && slab_.is_live(id) && slab_.hot(id).value == value &&
                    slab_.cold(id).function == function.slot;
  try {
    if (same) remove_locked(id, reason, removed);
    poll(removed);
  } catch (const std::bad_alloc&) {
    return;  // it stays until it is met again
  }
}

template <class Policy>
template <class Matches>
bool Engine<Policy>::remove_key(FunctionType& function, std::uint64_t hash, Matches&& matches,
                                Removal reason, Removed& removed) {
  const Guard guard;
  Lock lock(mutex_, std::defer_lock);
  EntryId existing = kNoEntry;
  if (locate(function, hash, matches, lock, &existing) != StoreOutcome::kStored) return false;
  if (existing != kNoEntry) remove_locked(existing, reason, removed);
  return existing != kNoEntry;
}

template <class Policy>
Epoch Engine<Policy>::invalidate_key(FunctionType& function, std::uint64_t hash,
                                     std::uint32_t origin, Removed& removed) {
  const HiddenTag own(function.tag_id, hash);
  const Lock lock(mutex_);
  const auto same_hash = [&](EntryId id) { return slab_.hot(id).hash == hash; };
  std::size_t removed_count = 0;
  try {
    for (EntryId found; (found = function.index.probe(hash, same_hash)) != kNoEntry;
         ++removed_count) {
      remove_locked(found, Removal::kInvalidated, removed);
    }
  } catch (const std::bad_alloc&) {
    // What cannot be taken out must not be served: the whole function dies.
    return log_.apply(HiddenTag(function.tag_id).path(), origin);
  }
  // What came from the second level depends on any key of a function that it used.
  const Epoch epoch =
      level_ == nullptr
          ? log_.apply(own.path(), origin)
          : log_.apply(std::array{HiddenTag(function.tag_id, kAnyKey).path(), own.path()}, origin);
  for (std::size_t count = 0; count < removed_count; ++count) log_.note_death(epoch);
  if (removed_count > 0) {
    obituaries_.add({function.tag_id, hash, Removal::kInvalidated, epoch, own.path().back().hash,
                     std::string(kByOwnKey), log_.now_ms()});
  }
  return epoch;
}

template <class Policy>
void Engine<Policy>::announce_key(std::uint64_t function_id, const LevelKey* key,
                                  std::uint32_t origin) {
  if (key == nullptr) {
    log_.announce(HiddenTag(function_id).path().text(), {}, origin);
  } else {
    log_.announce(key->text(), HiddenTag(function_id, kAnyKey).path().text(), origin);
  }
}

template <class Policy>
void Engine<Policy>::remove_locked(EntryId id, Removal reason, Removed& removed) {
  const HotEntry& hot = slab_.hot(id);
  ColdEntry& cold = slab_.cold(id);
  FunctionType& function = *functions_[cold.function];
  if (reason != Removal::kReplaced) record(function, id, reason);
  if constexpr (Policy::kConcurrent) {
    retired_.push_back({0, id, function.drop});  // a place; the era is known after the unlinking
  } else {
    removed.make_room(cold.deps.nodes().size());
  }
  // From here on nothing throws.
  if (reason == Removal::kEvicted) count(function.counters.evictions);
  if (reason == Removal::kExpired) count(function.counters.expirations);
  if (reason == Removal::kInvalidated) count(function.counters.dead_entries);
  if ((hot.state.load(std::memory_order_relaxed) & state::kCounted) != 0) --function.counted;
  retire_slots(function.index.erase(hot.hash, id));
  queue_of(function).remove(id);
  cold.queue = Queue::kNone;
  entries_.store(entries() - 1, std::memory_order_relaxed);
  bytes_.store(bytes() - cold.size_bytes, std::memory_order_relaxed);
  if constexpr (Policy::kConcurrent) {
    retired_.back().era = Reclaimer::era_of_unlinked();
  } else {
    give_back(id, function.drop, removed);
  }
}

template <class Policy>
void Engine<Policy>::clear(Removed& removed) {
  const Lock lock(mutex_);
  for (const auto& function : functions_) {
    if (function != nullptr) clear_locked(*function, removed);
  }
  settle(removed);
}

template <class Policy>
void Engine<Policy>::clear_function(FunctionType& function, Removed& removed) {
  const Lock lock(mutex_);
  clear_locked(function, removed);
  settle(removed);
}

template <class Policy>
void Engine<Policy>::clear_locked(FunctionType& function, Removed& removed) {
  std::vector<EntryId> ids;
  ids.reserve(function.index.live());
  function.index.for_each([&](EntryId id) { ids.push_back(id); });
  // Not as they lie in the index, which is the order of their hashes: what is left when it shrinks
  // would all belong into one end of the smaller array, and every step walk over all of that.
  std::sort(ids.begin(), ids.end());
  for (const EntryId id : ids) remove_locked(id, Removal::kRemoved, removed);
}

}  // namespace zoocache::core
