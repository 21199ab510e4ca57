"""Broken second levels: what the rules of `core/second_level.h` and the files of the entries in
`src/lmdb` are there for."""

from __future__ import annotations

from mutants import Mutant

LEVEL = "src/lmdb/lmdb_level.cpp"
LEVEL_ROWS = "src/lmdb/level_rows.cpp"
LEVEL_ENVIRONMENT = "src/lmdb/level_environment.cpp"
LEVEL_ENVIRONMENT_H = "src/lmdb/level_environment.h"
ENVIRONMENT = "src/lmdb/environment.cpp"
FILE_CHECK = "src/lmdb/file_check.cpp"
FOLDER = "src/lmdb/folder.cpp"
OWNER = "src/lmdb/owner.cpp"
REGISTRY = "src/lmdb/registry.cpp"
STORED_VALUE = "src/codec/stored_value.cpp"
MEMORY = "src/core/memory_level.cpp"
CONFORMANCE = "level_conformance_test"
ENTRIES = "lmdb_level_test"
FOLDERS = "lmdb_level_folder_test"
PROCESSES = "lmdb_level_processes_test"

LEVEL_MUTANTS = [
    Mutant(
        "level, memory: a claim that failed stays",
        "",
        MEMORY,
        "flight.token != 0 && !flight.has_failed",
        "flight.token != 0",
        "*memory*",
        program=CONFORMANCE,
    ),
    Mutant(
        "level: max_value_bytes is not passed on",
        "",
        LEVEL,
        "  limits.max_payload_bytes = options.max_value_bytes;\n",
        "  static_cast<void>(options);\n",
        program=ENTRIES,
    ),
    Mutant(
        "level: the key in the envelope is not compared",
        "",
        STORED_VALUE,
        " || entry.key != key) return",
        ") return",
        program=ENTRIES,
        quick=True,
    ),
    Mutant(
        "level: an entry past its time is found",
        "",
        LEVEL,
        "    if (value->lives_ns <= 0) return std::nullopt;\n",
        "",
        program=CONFORMANCE,
        quick=True,
    ),
    Mutant(
        "level: the entry that the caller refuses is found",
        "",
        LEVEL,
        "    if (core::is_news(there, refused)) {\n",
        "    if (there) {\n",
        program=CONFORMANCE,
    ),
    Mutant(
        "level: a claim does not look again under the lock",
        "",
        LEVEL,
        "      answers[index] = look(rows, digest, open[index]->key, open[index]->refused);\n"
        "      if (answers[index].kind != Claim::Kind::kMine) continue;\n",
        "      answers[index].kind = Claim::Kind::kMine;\n",
        program=CONFORMANCE,
    ),
    Mutant(
        "level: a flight is ended by whoever says so",
        "",
        LEVEL_ROWS,
        "  if (token == 0 || !there || there->token != token) return false;\n",
        "  if (token == 0 || !there) return false;\n",
        program=CONFORMANCE,
    ),
    Mutant(
        "level: a load that failed is only over",
        "",
        LEVEL,
        "    if (flight->failed_ns != 0) return Waited::kFailed;\n",
        "    if (flight->failed_ns != 0) return Waited::kEnded;\n",
        program=CONFORMANCE,
    ),
    Mutant(
        "level: the flight is over before the value is there",
        "",
        LEVEL,
        "  const Digest digest = where(environment, end.key);\n  bool is_stored = false;\n",
        "  const Digest digest = where(environment, end.key);\n"
        "  bool is_stored = false;\n"
        "  change(environment, writing, 0,\n"
        "         [&](LevelRows& rows) { rows.end_flight(digest, end.token, 0); });\n"
        "  std::this_thread::sleep_for(std::chrono::milliseconds(20));\n",
        program=CONFORMANCE,
    ),
    Mutant(
        "level: what is refused keeps its claim",
        "",
        LEVEL,
        "    release(key, token, false);\n    throw StorageIsFull(error.what());\n",
        "    throw StorageIsFull(error.what());\n",
        program=ENTRIES,
    ),
    Mutant(
        "level: what has no room keeps its claim",
        "",
        LEVEL,
        "  if (is_stored) return;\n  keep(end);\n",
        "  if (is_stored) return;\n",
        program=ENTRIES,
    ),
    Mutant(
        "level: the store evicts for what cannot fit",
        "",
        LEVEL_ROWS,
        "  if (needed_bytes(size_bytes) > most_bytes) return false;\n",
        "  most_bytes = std::max(most_bytes, needed_bytes(size_bytes));\n",
        program=ENTRIES,
    ),
    Mutant(
        "level: nothing is evicted",
        "",
        LEVEL_ROWS,
        "    if (at_once == 0 || remove_oldest() == 0) return false;\n",
        "    return false;\n",
        program=ENTRIES,
        quick=True,
    ),
    Mutant(
        "level: the entries may fill the map",
        "",
        LEVEL,
        "return options_.max_bytes / 4 * 3;",
        "return options_.max_bytes;",
        program=ENTRIES,
    ),
    Mutant(
        "level: the row of a replaced entry's order stays",
        "",
        LEVEL_ROWS,
        "    table_.remove_if_there(view(order_key(number_at<std::uint64_t>(old, 0))));\n",
        "    static_cast<void>(old);\n",
        program=ENTRIES,
    ),
    Mutant(
        "level: readers that died at work are not looked for",
        "",
        LEVEL,
        "  environment.forget_dead_readers(kShortWait);\n",
        "",
        program=ENTRIES,
    ),
    Mutant(
        "level: freed pages are not waited for",
        "",
        LEVEL,
        "    if (table.read_meta(&meta)) table.write_meta(meta);\n",
        "    static_cast<void>(table.read_meta(&meta));\n",
        program=ENTRIES,
    ),
    Mutant(
        "level: another process's larger map is not adopted",
        "",
        LEVEL_ENVIRONMENT,
        '    if (result != MDB_MAP_RESIZED || left == 0) check(result, "begin to read");\n',
        '    check(result, "begin to read");\n',
        program=ENTRIES,
    ),
    Mutant(
        "level: the map is replaced under transactions",
        "",
        LEVEL_ENVIRONMENT_H,
        "  void lock_shared() noexcept { pthread_rwlock_rdlock(&lock_); }\n"
        "  void unlock_shared() noexcept { pthread_rwlock_unlock(&lock_); }\n",
        "  void lock_shared() noexcept {}\n  void unlock_shared() noexcept {}\n",
        program=ENTRIES,
    ),
    Mutant(
        "level: a map that could not grow is used on",
        "",
        LEVEL_ENVIRONMENT,
        "  drop_resting();\n  give_up();\n",
        "",
        program=FOLDERS,
    ),
    Mutant(
        "level: a damaged file is trusted",
        "",
        ENVIRONMENT,
        "  if (!life.is_shared && !damage_of(names_.file).empty()) ",
        "  if (life.is_shared && life.nonce == 0) ",
        program=FOLDERS,
        quick=True,
    ),
    Mutant(
        "level: free pages in use are not found",
        "",
        FILE_CHECK,
        "    for (const std::uint64_t page : free_pages_) take(",
        "    for (const std::uint64_t page : free_pages_) if (page == 0) take(",
        program=FOLDERS,
    ),
    Mutant(
        "level: a removed folder is read on",
        "",
        LEVEL,
        "  if (current != nullptr && current->is_intact(&why)) return current;\n",
        "  if (current != nullptr && current->is_ours()) return current;\n",
        program=FOLDERS,
    ),
    Mutant(
        "level: entries of another boot are read on",
        "",
        FOLDER,
        "  if (!text.starts_with(here)) return 0;\n",
        "",
        program=ENTRIES,
    ),
    Mutant(
        "level: the dead are not looked for by who waits",
        "",
        LEVEL,
        "    if (!is_alive(flight->owner)) return Waited::kEnded;\n",
        "",
        program=PROCESSES,
        quick=True,
    ),
    Mutant(
        "level: a dead owner's claim is not taken over",
        "",
        LEVEL,
        "!kept(flight->token) && is_alive(flight->owner);\n",
        "!kept(flight->token);\n",
        program=PROCESSES,
    ),
    Mutant(
        "level: a claim is taken over from whoever lives",
        "",
        LEVEL,
        "!kept(flight->token) && is_alive(flight->owner);\n",
        "!kept(flight->token) && flight->owner == this_process();\n",
        program=PROCESSES,
    ),
    Mutant(
        "level: a zombie is alive",
        "",
        OWNER,
        "  if ((stat.state == 'Z' || stat.state == 'X') && stat.threads <= 1) return false;\n",
        "",
        program=PROCESSES,
    ),
    Mutant(
        "level: a number that was given again is the same process",
        "",
        OWNER,
        "  return owner.started == 0 || stat.started == owner.started;\n",
        "  return true;\n",
        program=PROCESSES,
    ),
    Mutant(
        "level: claims of the dead pile up",
        "",
        LEVEL_ROWS,
        "    if (!one || is_stale(*one)) cursor.remove();\n",
        "    if (!one) cursor.remove();\n",
        program=PROCESSES,
    ),
    Mutant(
        "level: an end that could not be written is forgotten",
        "",
        LEVEL,
        "    kept_.push_back(end);\n",
        "",
        program=PROCESSES,
    ),
    Mutant(
        "level: who reads waits for who writes",
        "",
        LEVEL,
        "    const LevelEnvironment::Reading reading(*environment);\n"
        "    Table table = reading.table();\n"
        "    const LevelRows rows(table);\n"
        "    std::vector<std::optional",
        "    const LevelEnvironment::Writing writing(*environment, kShortWait);\n"
        "    const LevelEnvironment::Reading reading(*environment);\n"
        "    Table table = reading.table();\n"
        "    const LevelRows rows(table);\n"
        "    std::vector<std::optional",
        program=PROCESSES,
    ),
    Mutant(
        "level: a child of fork() goes on with its parent's environment",
        "",
        REGISTRY,
        "    one->inherited_.store(true);\n",
        "",
        program=PROCESSES,
        also=(("  self.entries_.clear();\n", ""),),
    ),
]
