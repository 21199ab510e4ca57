"""Homes that do not tell what happened to them: each counter of `HomeStatus` has to be noticed."""

from __future__ import annotations

from mutants import Mutant

LMDB_LOG = "src/lmdb/lmdb_log.cpp"
ENVIRONMENT_H = "src/lmdb/environment.h"
FOLLOWER = "src/redis/follower.cpp"
CALLS = "src/redis/follower_calls.cpp"
HOLDS = "src/redis/follower_holds.cpp"
WRITER = "src/redis/follower_writer.cpp"
LMDB_LEVEL = "src/lmdb/lmdb_level.cpp"
ENGINE = "src/core/engine_impl.h"
TOLD = "src/core/engine_told.h"
REPLICAS = "src/redis/follower_replicas.cpp"


def lmdb(name: str, old: str, new: str = "", *, file: str = LMDB_LOG) -> Mutant:
    return Mutant(f"lmdb: not counted: {name}", "", file, old, new, program="lmdb_status_test")


def redis(name: str, old: str, new: str = "", *, file: str = FOLLOWER) -> Mutant:
    program = "redis_log_status_test"
    return Mutant(f"redis: not counted: {name}", "", file, old, new, program=program)


def server(name: str, old: str, *, file: str, program: str) -> Mutant:
    """One that needs a server to be noticed."""
    return Mutant(f"redis server: not counted: {name}", "", file, old, "", program=program)


def level(name: str, old: str, *, program: str = "lmdb_level_folder_test") -> Mutant:
    return Mutant(f"lmdb: not counted: {name}", "", LMDB_LEVEL, old, "", program=program)


def told(name: str, old: str, new: str = "", *, file: str = TOLD) -> Mutant:
    return Mutant(name, "", file, old, new, program="front_call_test")


COUNTER_MUTANTS = [
    level(
        "a file of values that was damaged",
        "  tally_.corruptions.fetch_add(environment.take_corruptions());\n",
    ),
    level("a folder of values that was lost", "    tally_.disconnects.fetch_add(1);\n"),
    level("a storage that does not answer", "    tally_.errors.fetch_add(1);\n"),
    level(
        "a stored value that was rejected",
        "  if (!value) tally_.rejected.fetch_add(1, std::memory_order_relaxed);\n",
        program="lmdb_level_test",
    ),
    told(
        "an invalidation is not told what died of it",
        "    if (obituary.epoch > slab_.cold(id).born) log_.note_death(obituary.epoch);\n",
    ),
    told(
        "the invalidation of one call is not told what died of it",
        "  for (std::size_t count = 0; count < removed_count; ++count) log_.note_death(epoch);\n",
        file=ENGINE,
    ),
    told(
        "a miss whose entry was swept was never loaded",
        "  if (one == nullptr) return MissReason::kNeverLoaded;\n",
        "  return MissReason::kNeverLoaded;\n",
    ),
    told(
        "loads take no time",
        "    sum_ns_.fetch_add(static_cast<std::uint64_t>(took_ns), std::memory_order_relaxed);\n",
        file="src/core/load_times.h",
    ),
    lmdb("folders that were opened", "  count(&HomeCounters::connects);\n"),
    lmdb("folders that were lost", "    count(&HomeCounters::disconnects);\n"),
    lmdb(
        "a turn that did not come",
        "    if (patience.count() > 0) count(&HomeCounters::timeouts);\n",
    ),
    lmdb("what is declared again", "    count(&HomeCounters::replays, kept.texts.size());\n"),
    lmdb("a map that is full", "        count(&HomeCounters::map_full);\n"),
    lmdb("a cache that begins anew", "      count(&HomeCounters::flushes);\n"),
    lmdb(
        "another log",
        "  if (before != 0 && before != environment.nonce()) "
        "count(&HomeCounters::generation_changes);\n",
    ),
    lmdb(
        "a damaged file",
        "  count(&HomeCounters::corruptions, environment.take_corruptions());\n",
    ),
    lmdb(
        "a damaged file, once (but by each cache)",
        "{ return corruptions_.exchange(0); }",
        "{ return corruptions_.load(); }",
        file=ENVIRONMENT_H,
    ),
    redis("connections that were made", "    ++counters_.connects;\n"),
    redis("connections that were lost", "    ++counters_.disconnects;\n"),
    redis(
        "a gap that a heartbeat shows", "    if (!had_gap && lease_.has_gap()) ++counters_.gaps;\n"
    ),
    redis("a gap that a message shows", "      if (has_gap && !had_gap) ++counters_.gaps;\n"),
    redis(
        "a page that is asked for",
        "    ++counters_.catch_ups;\n    cursor = {lease_.nonce(), lease_.applied()};\n  }\n"
        "  send_page(cursor);\n",
        "    cursor = {lease_.nonce(), lease_.applied()};\n  }\n  send_page(cursor);\n",
    ),
    redis("everything dropped", "  ++counters_.flushes;\n"),
    redis("another generation", "  if (is_other) ++counters_.generation_changes;\n"),
    redis("what is declared again", "    counters_.replays += texts.size();\n"),
    redis(
        "messages without sense",
        "    } else if (!news) {\n      ++counters_.errors;\n",
    ),
    redis("what the server refuses", "  if (answer.has_reply()) ++counters_.errors;\n"),
    redis(
        "no reply in time",
        "  if (answer.failure.trouble == Trouble::kTimeout) ++counters_.timeouts;\n",
    ),
    redis(
        "messages that come twice",
        "        if (lease_.has_heard(news->epoch)) ++counters_.duplicates;\n",
    ),
    redis(
        "messages that come twice, above a gap",
        "return epoch <= applied_ || ahead_.contains(epoch);",
        "return epoch <= applied_;",
        file="src/redis/lease.h",
    ),
    redis(
        "a lease that was over",
        "    if (lease_.is_over(now_ns())) ++counters_.lease_expirations;\n",
    ),
    redis("what was checked here", "      ++counters_.local_checks;\n", file=HOLDS),
    redis(
        "what was checked by the server",
        "      if (holds) ++counters_.server_checks;\n",
        file=HOLDS,
    ),
    redis(
        "times without waiting",
        "  status.counters.breaker_opens = breaker_.openings();\n",
        file=CALLS,
    ),
    redis(
        "scripts that were sent", "    status.counters.script_loads += one->loads();\n", file=CALLS
    ),
    server(
        "what no replica has",
        "    ++counters_.unreplicated;\n",
        file=REPLICAS,
        program="redis_log_replicas_test",
    ),
    server(
        "another generation, by a writer",
        "    ++counters_.generation_changes;\n",
        file=WRITER,
        program="redis_log_writer_test",
    ),
]
