// What tools see of the log in the folder (core/look.h).
#include <map>
#include <utility>

#include "lmdb/lmdb_log.h"

namespace zoocache::lmdb {

core::HomeLook LmdbLog::look(std::span<const std::string> texts) {
  const std::lock_guard lock(mutex_);
  Environment& environment = environment_or_throw();
  const Reading reading(*this, environment);
  const LogRows rows(reading.get(), environment.rows(), environment.nonce());
  core::HomeLook found;
  Meta meta;
  if (!rows.read_meta(&meta)) refuse_row();
  found.generation = meta.nonce;
  found.clock = reading.snapshot();
  found.floor = meta.floor;
  found.tags = rows.texts();
  found.epochs.reserve(texts.size());
  for (const std::string& text : texts) found.epochs.push_back(rows.version(text));
  return found;
}

core::HomeRows LmdbLog::rows(const std::string& from, std::size_t most) {
  const std::lock_guard lock(mutex_);
  Environment& environment = environment_or_throw();
  const Reading reading(*this, environment);
  return LogRows(reading.get(), environment.rows(), environment.nonce()).newest(from, most);
}

std::vector<core::HomeNode> LmdbLog::nodes() {
  std::string folder;
  {
    const std::lock_guard lock(mutex_);
    folder = environment_or_throw().folder();
  }
  std::map<int, core::HomeNode> found;
  for (const Part part : {Part::kLog, Part::kEntries}) {
    for (const int pid : processes_of(folder, part)) {
      core::HomeNode& node = found[pid];
      node.name = std::to_string(pid);
      (part == Part::kLog ? node.uses_log : node.uses_values) = true;
    }
  }
  std::vector<core::HomeNode> nodes;
  nodes.reserve(found.size());
  for (auto& [pid, node] : found) nodes.push_back(std::move(node));
  return nodes;
}

core::Facts LmdbLog::facts() {
  const std::lock_guard lock(mutex_);
  Environment& environment = environment_or_throw();
  const Reading reading(*this, environment);
  MDB_envinfo info;
  mdb_env_info(environment.env(), &info);
  const Table table(reading.get(), environment.rows());
  return {{"folder", environment.folder()},
          {"log_format", std::to_string(kFormat)},
          {"log_used_bytes", std::to_string(table.used_bytes())},
          {"log_map_bytes", std::to_string(info.me_mapsize)}};
}

}  // namespace zoocache::lmdb
