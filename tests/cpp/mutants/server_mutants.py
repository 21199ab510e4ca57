"""Broken Redis homes and storages that tests against a real server have to notice."""

from __future__ import annotations

from mutants import Mutant

FOLLOWER = "src/redis/follower.cpp"
CALLS = "src/redis/follower_calls.cpp"
REPLICAS = "src/redis/follower_replicas.cpp"
HOME = "src/redis/redis_home.cpp"
SCRIPTS = "src/redis/scripts.cpp"
SERVER_CHECK = "src/redis/server_check.cpp"
STORAGE = "src/redis/redis_storage.cpp"


def server(name: str, file: str, old: str, new: str, *, program: str, tests: str = "*") -> Mutant:
    return Mutant(f"redis server: {name}", "", file, old, new, tests, f"redis_{program}_test")


SERVER_MUTANTS = [
    server(
        "what is acknowledged counts as another invalidation",
        FOLLOWER,
        "  core::apply_changes(log_, changes, origin, again_of);\n",
        "  core::apply_changes(log_, changes, origin, 0 * again_of);\n",
        program="log",
        tests="*CountsOnce",
    ),
    server(
        "an invalidation does not wait for its replicas",
        REPLICAS,
        "  if (options_.replicas_ack == 0) return true;\n",
        "  if (options_.replicas_ack < 1000) return true;\n",
        program="log_replicas",
        tests="RedisLogReplicas.*",
    ),
    server(
        "as many replicas as there are will do",
        REPLICAS,
        "  if (found < static_cast<std::int64_t>(options_.replicas_ack)) {\n",
        "  if (found < 0) {\n",
        program="log_replicas",
        tests="RedisLogReplicas.*",
    ),
    server(
        "what replicas have not is silently taken for acknowledged",
        REPLICAS,
        "  if (options_.keeps_silently) return false;\n",
        "  if (options_.keeps_silently) return true;\n",
        program="log_replicas",
        tests="RedisLogReplicas.*",
    ),
    server(
        "one replica of many is enough in the advice",
        SERVER_CHECK,
        "  const std::size_t wanted = (server.replicas + 1) / 2;\n",
        "  const std::size_t wanted = 1;\n",
        program="log_replicas",
        tests="RedisServerCheck.*",
    ),
    server(
        "a lag that is not looked at is no matter in the advice",
        SERVER_CHECK,
        '  if (whole(least) >= wanted && !is_off) return "";\n',
        '  if (whole(least) >= wanted) return "";\n',
        program="log_replicas",
        tests="RedisServerCheck.*",
    ),
    server(
        "a primary that goes on alone is not warned about",
        SERVER_CHECK,
        '  if (server.replicas == 0 || least.empty()) return "";',
        '  if (server.replicas < 1000 || least.empty()) return "";',
        program="log_replicas",
        tests="RedisLogReplicas.APrimary*",
    ),
    server(
        "fewer replicas than are waited for are not warned about",
        SERVER_CHECK,
        "  if (replicas_ack > server.replicas) {\n",
        "  if (replicas_ack > server.replicas + 1000) {\n",
        program="log_replicas",
        tests="RedisLogReplicas.Fewer*",
    ),
    server(
        "a writer subscribes",
        HOME,
        "          if (options.mode != RedisMode::kWriter) made.channels = {place.channel};\n",
        "          made.channels = {place.channel};\n",
        program="log_writer",
        tests="RedisLogWriter.Declares*",
    ),
    server(
        "a writer registers",
        FOLLOWER,
        "  if (options_.is_writer) {\n    look_at_generation();\n  } else {\n    send_beat();\n"
        "    begin_paging();\n",
        "  if (false) {\n    look_at_generation();\n  } else {\n    send_beat();\n"
        "    begin_paging();\n",
        program="log_writer",
        tests="RedisLogWriter.Declares*",
    ),
    server(
        "a writer serves what it has",
        CALLS,
        "  if (options_.is_writer) {\n    log_.apply_root();\n    return;\n  }\n",
        "  if (options_.is_writer) return;\n",
        program="log_writer",
        tests="RedisLogWriter.Loads*",
    ),
    server(
        "a log of another life of the server is written to",
        SCRIPTS,
        "  if state and state.life == life() and state.needs >= least then return state end\n",
        "  if state and state.needs >= least then return state end\n",
        program="log_outage",
        tests="RedisLogOutage.ARestart*",
    ),
    server(
        "storage_ttl is not passed on",
        STORAGE,
        "  made.ttl_ms = static_cast<std::int64_t>(options.ttl_s * 1e3);\n",
        "  made.ttl_ms = 604'800'000;\n",
        program="level",
    ),
    server(
        "claim_timeout is not passed on",
        STORAGE,
        "  made.claim_ms = static_cast<std::int64_t>(options.claim_s * 1e3);\n",
        "  made.claim_ms = 2000;\n",
        program="level",
    ),
    server(
        "max_value_bytes is not passed on",
        STORAGE,
        "  made.max_value_bytes = options.max_value_bytes;\n",
        "  made.max_value_bytes = std::size_t{1} << 24;\n",
        program="level",
    ),
]
