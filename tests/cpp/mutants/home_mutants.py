"""Broken homes: what the rules of `core/home.h` and `src/lmdb` are there for."""

from __future__ import annotations

from mutants import PAUSE, Mutant

MEMORY = "src/core/memory_home.cpp"
HOME = "src/core/home.cpp"
LMDB_LOG = "src/lmdb/lmdb_log.cpp"
LMDB_INTENTS = "src/lmdb/lmdb_log_intents.cpp"
INTENT = "src/core/intent.cpp"
INTENT_H = "src/core/intent.h"
LMDB_LOG_H = "src/lmdb/lmdb_log.h"
ROWS = "src/lmdb/rows.cpp"
ENVIRONMENT = "src/lmdb/environment.cpp"
REGISTRY = "src/lmdb/registry.cpp"
FOLDER = "src/lmdb/folder.cpp"
LOCK = "src/lmdb/timed_lock.cpp"
CONFORMANCE = "home_conformance_test"
PROCESSES = "lmdb_processes_test"
FOLDERS = "lmdb_folder_test"
INTENTS = "lmdb_intent_test"
STATUS = "lmdb_status_test"

HOME_MUTANTS = [
    Mutant(
        "a call does not ask the home",
        "",
        "src/core/log.h",
        "    if (home_ != nullptr && !home_->is_fresh()) [[unlikely]]\n"
        "      home_->refresh(*this);\n",
        "",
        program=CONFORMANCE,
    ),
    Mutant(
        "a home's news takes effect after a hit has read the local clock",
        "",
        "src/core/log.h",
        "    if (home_ != nullptr && !home_->is_fresh()) [[unlikely]]\n"
        "      home_->refresh(*this);\n"
        "    return clock();\n",
        "    const Epoch before = clock();\n"
        "    if (home_ != nullptr && !home_->is_fresh()) home_->refresh(*this);\n"
        "    return before;\n",
        program=CONFORMANCE,
    ),
    Mutant(
        "text that is not known is passed over",
        "",
        HOME,
        "      if (!change.is_done_here && !paths.add(change.text)) "
        "return log.apply_root(origin, again_of);\n",
        "      if (!change.is_done_here) paths.add(change.text);\n",
        program=CONFORMANCE,
        quick=True,
    ),
    Mutant(
        "memory: a row hides one that its writer has not heard",
        "",
        MEMORY,
        "        if (!told) done_by = 0;\n",
        "        static_cast<void>(told);\n",
        "*memory*",
        program=CONFORMANCE,
    ),
    Mutant(
        "lmdb: a row hides one that its writer has not heard",
        "",
        ROWS,
        "    if (there && at > applied && number_at<std::uint64_t>(value, 0) != self) "
        "done_by = 0;\n",
        "    static_cast<void>(applied);\n    static_cast<void>(there);\n",
        "*lmdb*",
        program=CONFORMANCE,
        quick=True,
    ),
    Mutant(
        "lmdb: applied becomes the shared clock instead of the snapshot",
        "",
        LMDB_LOG,
        "    applied_.store(snapshot, std::memory_order_release);\n",
        f"    {PAUSE}\n    applied_.store(environment.clock(), std::memory_order_release);\n",
        program=PROCESSES,
    ),
    Mutant(
        "lmdb: applied moves before the rows are applied",
        "",
        LMDB_LOG,
        "  if (snapshot > applied) {\n",
        "  if (snapshot > applied) {\n    applied_.store(snapshot, std::memory_order_release);\n"
        f"    {PAUSE}\n",
        program=CONFORMANCE,
    ),
    Mutant(
        "lmdb: an invalidation returns before it is applied here",
        "",
        LMDB_LOG,
        "  read_news(log, *written.environment, written.epoch, origin);\n",
        "  static_cast<void>(origin);\n",
        program=CONFORMANCE,
    ),
    Mutant(
        "lmdb: what was forgotten is not asked for",
        "",
        LMDB_LOG,
        "    if (applied < meta.floor || ",
        "    if (",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: trimming does not raise the floor",
        "",
        ROWS,
        "    meta.floor = row.epoch;\n",
        "",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: the older row of a text stays",
        "",
        ROWS,
        "    table_.remove_if_there(view(key));\n",
        "",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: only the first of several tags is written",
        "",
        LMDB_LOG,
        "  for (const Change& change : batch.changes) rows.put(change, index++, applied, self_);\n",
        "  for (const Change& change : batch.changes.first(batch.changes.empty() ? 0 : 1)) {\n"
        "    rows.put(change, index++, applied, self_);\n  }\n",
        program=CONFORMANCE,
        quick=True,
    ),
    Mutant(
        "lmdb: what was not acknowledged is forgotten",
        "",
        LMDB_LOG,
        '    keep(changes, ended);\n    throw HomeUnreachable(std::string("not acknowledged',
        '    throw HomeUnreachable(std::string("not acknowledged',
        program=PROCESSES,
    ),
    Mutant(
        "lmdb: what was not acknowledged is not done here either",
        "",
        LMDB_LOG,
        "    core::apply_changes(log, changes, origin);\n    keep(changes, ended);\n",
        "    keep(changes, ended);\n",
        program=PROCESSES,
    ),
    Mutant(
        "lmdb: a home that is lost goes on serving",
        "",
        LMDB_LOG,
        "  log.apply_root();\n  try_again_ms_ =",
        "  static_cast<void>(log);\n  try_again_ms_ =",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: while it is lost, calls do not count",
        "",
        LMDB_LOG,
        "      log.apply_root();\n      return false;\n",
        "      return false;\n",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: hits do not look at the folder",
        "",
        LMDB_LOG_H,
        "           now_ms() < look_again_ms_.load(std::memory_order_relaxed);\n",
        "           now_ms() >= 0;\n",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: writers wait for ever",
        "",
        LOCK,
        "    failed = lock_within(&page_->mutex, slice);\n",
        "    failed = pthread_mutex_lock(&page_->mutex);\n",
        program=PROCESSES,
    ),
    Mutant(
        "lmdb: a dead owner's lock is not taken over",
        "",
        LOCK,
        "    pthread_mutex_consistent(&page_->mutex);\n    failed = 0;\n",
        "    pthread_mutex_unlock(&page_->mutex);\n",
        program=PROCESSES,
    ),
    Mutant(
        "lmdb: readers that died at work are not looked for",
        "",
        LMDB_LOG,
        "  environment.forget_dead_readers(seconds(options_.lock_timeout_s));\n",
        "",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: another boot's log is read on",
        "",
        FOLDER,
        "  if (!text.starts_with(here)) return 0;\n",
        "",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: a folder is wiped under a process that uses it",
        "",
        FOLDER,
        "  life.is_shared = !live.empty();\n",
        "  life.is_shared = false;\n",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: a process of another version is not looked for",
        "",
        FOLDER,
        "  return one.format == kFormat && one.space == space;\n",
        "  return one.format != kFormat || one.space == space;\n",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: rows are written to a file that was taken away",
        "",
        LMDB_LOG,
        "  if (!environment.is_intact(&why)) throw HomeUnreachable(why);\n",
        "",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: a writer does not open what took the folder's place",
        "",
        LMDB_LOG,
        "    if (environments_.back() == environment) throw;\n",
        "    if (environments_.back() != nullptr) throw;\n",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: the time of a folder that changed just now is believed",
        "",
        FOLDER,
        "  return now_ns - changed_ns > (has_whole_seconds ? kWholeSecondsNs : kTicksNs);\n",
        "  return has_whole_seconds || now_ns != changed_ns;\n",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: a folder is looked at once",
        "",
        ENVIRONMENT,
        "  if (certain_until_changed_ns_.load() == changed_ns) return true;\n",
        "  if (certain_until_changed_ns_.load() > 0) return true;\n",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: a process that is about to lock its file is passed over",
        "",
        FOLDER,
        "    found.is_certain = false;\n",
        "",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: a process that slept reads however many rows there are",
        "",
        LMDB_LOG,
        "    is_all = left > 0;\n",
        "    is_all = true;\n",
        program=STATUS,
    ),
    Mutant(
        "lmdb: what are too many rows to read is passed over",
        "",
        LMDB_LOG,
        " || !apply_rows(log, rows, own, origin)) {\n",
        " || (apply_rows(log, rows, own, origin), false)) {\n",
        program=STATUS,
    ),
    Mutant(
        "lmdb: a replaced file is not noticed",
        "",
        ENVIRONMENT,
        "  return !is_lost_.load() && stat(names_.file.c_str(), &about) == 0 && "
        "about.st_ino == inode_ &&\n         about.st_dev == device_;\n",
        "  return stat(folder_.c_str(), &about) == 0 || true;\n",
        program=FOLDERS,
    ),
    Mutant(
        "lmdb: a child of fork() goes on with its parent's environment",
        "",
        REGISTRY,
        "    one->inherited_.store(true);\n",
        "",
        program=PROCESSES,
        also=(("  self.entries_.clear();\n", ""),),
    ),
    Mutant(
        "a write is not declared before it begins",
        "intent NOINTENT",
        INTENT,
        "    return log.home()->declare_intent(log, changes_of(paths));\n",
        "    return 0;\n",
        program=INTENTS,
        quick=True,
    ),
    Mutant(
        "what cannot be declared stays held",
        "",
        INTENT,
        "  } catch (...) {\n    log.release_tags(paths);\n",
        "  } catch (...) {\n",
        program=INTENTS,
    ),
    Mutant(
        "a dead owner's intent fires once and goes",
        "intent ONCE",
        INTENT_H,
        "  if (!has_fired) return IntentStep::kFire;\n",
        "  if (!has_fired) return IntentStep::kFireAndForget;\n",
        program=INTENTS,
        quick=True,
    ),
    Mutant(
        "a dead owner's intent fires at every look",
        "",
        INTENT_H,
        "  if (!has_fired) return IntentStep::kFire;\n",
        "  static_cast<void>(has_fired);\n  if (!is_old) return IntentStep::kFire;\n",
        program=INTENTS,
    ),
    Mutant(
        "a block that is open for too long goes on unnoticed",
        "",
        INTENT_H,
        "  if (is_alive) return is_old ? IntentStep::kFire : IntentStep::kNothing;\n",
        "  if (is_alive) return IntentStep::kNothing;\n",
        program=INTENTS,
    ),
    Mutant(
        "a cancelled write lets what it saw be kept",
        "",
        INTENT,
        "    log.apply(paths);  // a load that is under way ends after this\n",
        "",
        program="front_call_rule_test",
    ),
    Mutant(
        "a cancelled write invalidates elsewhere",
        "",
        INTENT,
        "  if (log.home() != nullptr) log.home()->drop_intent(log, token);\n",
        "  if (log.home() != nullptr) log.home()->fire_intent(log, token, changes_of(paths), 0);\n",
        program=CONFORMANCE,
    ),
    Mutant(
        "lmdb: an intent is taken away without an invalidation",
        "intent NOFIRE",
        LMDB_INTENTS,
        "    for (const std::string& text : row.texts) "
        "rows.put({text}, index++, applied_.load(), self_);\n",
        "    static_cast<void>(rows);\n",
        program=INTENTS,
    ),
    Mutant(
        "lmdb: the end of a block leaves its intent",
        "",
        LMDB_LOG,
        "  if (batch.ended != 0) intents.remove(batch.ended);\n",
        "",
        program=INTENTS,
    ),
    Mutant(
        "lmdb: what stands is not looked at before the second is over",
        "",
        LMDB_LOG,
        "                               : intents_ != 0 ? kIntentLookMs\n"
        "                                               : kLookAgainMs;\n",
        "                                               : kLookAgainMs * 60;\n",
        program=INTENTS,
    ),
    Mutant(
        "lmdb: a child of fork() ends its parent's intent",
        "",
        LMDB_INTENTS,
        "  const bool is_mine = found->second.owner == this_process();\n",
        "  const bool is_mine = true;\n",
        program=INTENTS,
    ),
    Mutant(
        "lmdb: a folder that is another one is not told of open blocks",
        "",
        LMDB_INTENTS,
        "    if (is_mine && open.nonce != environment.nonce()) must_declare_again_.store(true);\n",
        "    static_cast<void>(is_mine);\n",
        program=INTENTS,
    ),
    Mutant(
        "lmdb: a connection that ends leaves its intents to a process that lives",
        "",
        LMDB_LOG,
        "  farewell();\n",
        "",
        "*lmdb*",
        program=CONFORMANCE,
    ),
]
