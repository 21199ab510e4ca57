// What happens and what is asked, in one order of time, as examples/departures/prepare.py wrote it.
// Thread-safety: immutable once read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "sqlite.h"

namespace departures {

struct Question {
  std::string kind;
  std::vector<Value> args;
};

// One UPDATE, and the tags that a careful engineer invalidates after it.
struct Event {
  std::string update_sql;
  std::vector<Binding> parameters;
  std::vector<std::string> tags;
};

struct Item {
  double at_s = 0;
  std::int64_t sequence = 0;  // of an event; 0: a question
  std::size_t index = 0;      // in `events` or `questions`
};

// One SELECT, for now and for any moment of the replay.
struct Fact {
  std::string now;
  std::string as_of;
  std::string changes;  // empty: nothing of it ever changes
  std::vector<std::string> scope;

  std::vector<Binding> bind(const std::vector<Value>& args) const {
    std::vector<Binding> bindings;
    for (std::size_t at = 0; at < scope.size(); ++at) bindings.emplace_back(scope[at], args.at(at));
    return bindings;
  }
};

inline std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

struct Timeline {
  std::map<std::string, Value> settings;
  std::map<std::string, Fact> facts;
  std::vector<Event> events;  // sequence 1 is events[0]
  std::vector<Question> questions;
  std::vector<Item> items;  // by time; the events of a moment before its questions
  std::map<std::int64_t, std::string> labels;  // minute -> New York's clock, once an hour

  std::int64_t number(const std::string& name) const { return number_of(settings.at(name)); }
  const std::string& text(const std::string& name) const { return text_of(settings.at(name)); }
  double start_s() const { return static_cast<double>(number("start")) * 60; }
  // "Fri 08 Feb 06:41"
  std::string clock(double at_s) const {
    const auto minute = static_cast<std::int64_t>(at_s / 60);
    const auto next = labels.upper_bound(minute);
    if (next == labels.begin()) return {};
    const auto& [hour, label] = *std::prev(next);
    const auto past = std::to_string(minute - hour);
    return label.substr(0, label.size() - past.size()) + past;
  }
};

inline Timeline read_timeline(const std::string& path) {
  Database database(path);
  Timeline timeline;
  for (Row& row : database.run("SELECT name, value FROM settings")) {
    timeline.settings[text_of(row[0])] = std::move(row[1]);
  }
  for (const Row& row : database.run("SELECT name, now, as_of, changes, scope FROM facts")) {
    const auto* changes = std::get_if<std::string>(&row[3]);
    timeline.facts[text_of(row[0])] = {text_of(row[1]), text_of(row[2]),
                                       changes == nullptr ? std::string() : *changes,
                                       split(text_of(row[4]), ',')};
  }
  for (const Row& row : database.run("SELECT minute, label FROM minutes")) {
    timeline.labels[number_of(row[0])] = text_of(row[1]);
  }
  const char* events = "SELECT sequence, at_s, update_sql, tags FROM events ORDER BY sequence";
  for (const Row& row : database.run(events)) {
    timeline.items.push_back({real_of(row[1]), number_of(row[0]), timeline.events.size()});
    timeline.events.push_back({text_of(row[2]), {}, split(text_of(row[3]), '|')});
  }
  for (Row& row : database.run("SELECT sequence, name, value FROM parameters")) {
    const auto at = static_cast<std::size_t>(number_of(row[0]) - 1);
    timeline.events.at(at).parameters.emplace_back(text_of(row[1]), std::move(row[2]));
  }
  const char* questions = "SELECT at_s, kind, first, second, third FROM questions ORDER BY rowid";
  for (Row& row : database.run(questions)) {
    timeline.items.push_back({real_of(row[0]), 0, timeline.questions.size()});
    Question question{text_of(row[1]), {}};
    for (std::size_t at = 2; at < row.size() && row[at].index() != 0; ++at) {
      question.args.push_back(std::move(row[at]));
    }
    timeline.questions.push_back(std::move(question));
  }
  std::stable_sort(timeline.items.begin(), timeline.items.end(),
                   [](const Item& left, const Item& right) { return left.at_s < right.at_s; });
  return timeline;
}

}  // namespace departures
