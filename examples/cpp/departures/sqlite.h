// As much of SQLite's C API as the replay needs, with errors as exceptions.
// Thread-safety: a Database and its Statements by one thread at a time.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace departures {

using Value = std::variant<std::monostate, std::int64_t, double, std::string>;
using Row = std::vector<Value>;
using Rows = std::vector<Row>;
using Binding = std::pair<std::string, Value>;

struct CloseDatabase {
  void operator()(sqlite3* database) const noexcept { sqlite3_close_v2(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};

class Database {
 public:
  explicit Database(const std::string& path) {
    sqlite3* opened = nullptr;
    const int status = sqlite3_open_v2(path.c_str(), &opened,
                                       SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
    database_.reset(opened);
    check(status);
    sqlite3_busy_timeout(opened, 60'000);
    run("PRAGMA synchronous = OFF");
    run("PRAGMA mmap_size = 1000000000");
  }

  // Runs a statement, which is compiled once. Throws std::runtime_error.
  Rows run(const std::string& sql, const std::vector<Binding>& bindings = {}) {
    sqlite3_stmt* const statement = compiled(sql);
    for (const auto& [name, value] : bindings) {
      const int index = sqlite3_bind_parameter_index(statement, (":" + name).c_str());
      if (index != 0) bind(statement, index, value);  // a query may use fewer
    }
    Rows rows;
    int status = SQLITE_OK;
    while ((status = sqlite3_step(statement)) == SQLITE_ROW) rows.push_back(read_row(statement));
    sqlite3_reset(statement);
    if (status != SQLITE_DONE) check(status);
    return rows;
  }
  int changes() const noexcept { return sqlite3_changes(database_.get()); }

 private:
  void check(int status) const {
    if (status == SQLITE_OK) return;
    throw std::runtime_error(std::string("SQLite: ") + sqlite3_errmsg(database_.get()));
  }

  sqlite3_stmt* compiled(const std::string& sql) {
    auto& statement = statements_[sql];
    if (statement == nullptr) {
      sqlite3_stmt* made = nullptr;
      check(sqlite3_prepare_v2(database_.get(), sql.c_str(), -1, &made, nullptr));
      statement.reset(made);
    }
    return statement.get();
  }

  void bind(sqlite3_stmt* statement, int index, const Value& value) const {
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      check(sqlite3_bind_int64(statement, index, *number));
    } else if (const auto* real = std::get_if<double>(&value)) {
      check(sqlite3_bind_double(statement, index, *real));
    } else if (const auto* text = std::get_if<std::string>(&value)) {
      check(sqlite3_bind_text(statement, index, text->c_str(), static_cast<int>(text->size()),
                              SQLITE_TRANSIENT));
    } else {
      check(sqlite3_bind_null(statement, index));
    }
  }

  static Row read_row(sqlite3_stmt* statement) {
    Row row;
    for (int column = 0; column < sqlite3_column_count(statement); ++column) {
      switch (sqlite3_column_type(statement, column)) {
        case SQLITE_INTEGER:
          row.emplace_back(std::int64_t{sqlite3_column_int64(statement, column)});
          break;
        case SQLITE_FLOAT:
          row.emplace_back(sqlite3_column_double(statement, column));
          break;
        case SQLITE_NULL:
          row.emplace_back();
          break;
        default: {
          const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
          const int size = sqlite3_column_bytes(statement, column);
          row.emplace_back(std::string(text, static_cast<std::size_t>(size)));
        }
      }
    }
    return row;
  }

  std::unique_ptr<sqlite3, CloseDatabase> database_;
  std::map<std::string, std::unique_ptr<sqlite3_stmt, FinalizeStatement>> statements_;
};

inline std::int64_t number_of(const Value& value) {
  if (const auto* real = std::get_if<double>(&value)) return static_cast<std::int64_t>(*real);
  return std::get<std::int64_t>(value);
}
inline double real_of(const Value& value) {
  if (const auto* number = std::get_if<std::int64_t>(&value)) return static_cast<double>(*number);
  return std::get<double>(value);
}
inline const std::string& text_of(const Value& value) { return std::get<std::string>(value); }

}  // namespace departures
