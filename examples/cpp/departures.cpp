// Replays real New York departures through no cache, two TTL caches and zoocache, by several
// threads. examples/departures (Python) is the same board and prepares the data:
//
//   python examples/departures/prepare.py FOLDER --days 3 --threads 4
//   departures FOLDER
//
// Readers and one writer overlap freely; each reader notes which changes were done before its call
// and which had begun when it returned, and the answers of a replay hour are judged together while
// everybody rests. Exit status: 0, or 1 if zoocache gave a stale answer.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "departures/checker.h"
#include "departures/pages.h"
#include "departures/score.h"
#include "departures/timeline.h"
#include "departures/ways.h"

namespace departures {
namespace {

constexpr double kPhaseSeconds = 3600;
constexpr std::size_t kWriterBacklog = 4;  // changes that may wait before readers wait for them
constexpr std::size_t kExamplesKept = 5;

struct Answer {
  std::size_t question = 0;
  PagePtr page;
  double at_s = 0;
  std::int64_t latency_ns = 0;
  std::int64_t low = 0;
  std::int64_t high = 0;
};

// Changes on their way to the writer. Thread-safe.
class Backlog {
 public:
  void push(const Item& item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return items_.size() < kWriterBacklog; });
    items_.push_back(item);
    changed_.notify_all();
  }
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  // False: closed, and nothing is left.
  bool pop(Item& item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !items_.empty() || closed_; });
    if (items_.empty()) return false;
    item = items_.front();
    items_.pop_front();
    changed_.notify_all();
    return true;
  }

 private:
  std::mutex mutex_;  // guards everything below
  std::condition_variable changed_;
  std::deque<Item> items_;
  bool closed_ = false;
};

// One replay through one way.
template <class Way>
class Run {
 public:
  Run(const std::string& path, const Timeline& timeline, Way& way, ReplayClock& clock, Score& score)
      : timeline_(timeline),
        way_(way),
        clock_(clock),
        score_(score),
        threads_(static_cast<std::size_t>(timeline.number("threads"))),
        source_(path, timeline, threads_),
        pages_(build_pages(way, source_)),
        writing_(path),
        done_s_{timeline.start_s()},
        checker_(path, timeline, done_s_) {}

  void run() {
    const auto begun = std::chrono::steady_clock::now();
    for (std::size_t first = 0; first < timeline_.items.size();) {
      std::size_t last = first;
      const double end_s = timeline_.items[first].at_s + kPhaseSeconds;
      while (last < timeline_.items.size() && timeline_.items[last].at_s < end_s) ++last;
      judge(run_phase(first, last));
      first = last;
      show(first);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    score_.elapsed_s = took.count();
    score_.statements = source_.statements();
  }

 private:
  std::vector<std::vector<Answer>> run_phase(std::size_t first, std::size_t last) {
    next_ = first;
    Backlog backlog;
    std::vector<std::vector<Answer>> answers(threads_);
    std::vector<std::thread> readers;
    std::thread writer([&] {
      for (Item item; backlog.pop(item);) apply(item);
    });
    for (std::size_t index = 0; index < threads_; ++index) {
      readers.emplace_back([&, index] {
        source_.use_connection(index);
        for (Item item; next_question(item, last, backlog);) {
          answers[index].push_back(ask(item));
        }
      });
    }
    for (std::thread& reader : readers) reader.join();
    backlog.close();
    writer.join();
    return answers;
  }

  // Takes the next question; hands the changes before it to the writer, in their order.
  bool next_question(Item& item, std::size_t last, Backlog& backlog) {
    const std::lock_guard lock(turn_);
    while (next_ < last) {
      item = timeline_.items[next_++];
      clock_ = item.at_s;
      if (item.sequence == 0) return true;
      backlog.push(item);
    }
    return false;
  }

  Answer ask(const Item& item) {
    const Question& question = timeline_.questions[item.index];
    const auto& page_of = pages_.at(question.kind);
    Answer answer;
    answer.question = item.index;
    answer.low = done_.load();
    answer.at_s = clock_.load();
    const auto begun = std::chrono::steady_clock::now();
    answer.page = page_of(question.args);
    answer.latency_ns = std::chrono::nanoseconds(std::chrono::steady_clock::now() - begun).count();
    answer.high = begun_.load();
    return answer;
  }

  // `begun_` moves before the UPDATE, `done_` after its invalidations have returned.
  void apply(const Item& item) {
    const Event& event = timeline_.events[item.index];
    begun_ = item.sequence;
    writing_.run(event.update_sql, event.parameters);
    if (writing_.changes() < 1) throw std::runtime_error("an event changed no row");
    way_.invalidate(event.tags);
    done_s_.push_back(clock_.load());
    done_ = item.sequence;
  }

  void judge(const std::vector<std::vector<Answer>>& answers) {
    for (const std::vector<Answer>& some : answers) {
      for (const Answer& answer : some) {
        score_.latencies_ns.push_back(answer.latency_ns);
        const auto stale = checker_.judge(*answer.page, answer.at_s, answer.low, answer.high);
        if (!stale) continue;
        score_.wrong_s.push_back(stale->wrong_s);
        if (score_.examples.size() < kExamplesKept) {
          const std::string& kind = timeline_.questions[answer.question].kind;
          score_.examples.push_back(timeline_.clock(stale->at_s) + "  " + kind + ": its " +
                                    stale->fact + " had been wrong for " +
                                    duration_text(stale->wrong_s));
        }
      }
    }
  }

  void show(std::size_t items_done) const {
    if (isatty(STDERR_FILENO) == 0) return;
    constexpr std::size_t kWidth = 40;
    const std::size_t full = kWidth * items_done / timeline_.items.size();
    const std::string bar = std::string(full, '#') + std::string(kWidth - full, '.');
    std::fprintf(stderr, "\r%-10s %s %s  %s answers, %s stale ", label_of(score_.name).c_str(),
                 bar.c_str(), timeline_.clock(clock_.load()).c_str(),
                 grouped(score_.answers()).c_str(), grouped(score_.stale()).c_str());
    if (items_done == timeline_.items.size()) std::fputc('\n', stderr);
  }

  const Timeline& timeline_;
  Way& way_;
  ReplayClock& clock_;
  Score& score_;
  const std::size_t threads_;
  Source source_;
  const Pages pages_;
  Database writing_;  // by the writer alone
  std::vector<double> done_s_;
  std::atomic<std::int64_t> begun_{0};
  std::atomic<std::int64_t> done_{0};
  std::mutex turn_;  // guards: next_, the order in which changes enter the backlog
  std::size_t next_ = 0;
  Checker checker_;
};

template <class Way>
void run_way(const std::string& path, const Timeline& timeline, Way&& way, ReplayClock& clock,
             Score& score) {
  Run<Way>(path, timeline, way, clock, score).run();
}

// A fresh copy of the loaded database for one replay, ready for readers beside a writer.
std::string copy_database(const std::filesystem::path& folder, const std::string& mode) {
  const std::filesystem::path target = folder / (mode + ".sqlite");
  std::filesystem::copy_file(folder / "loaded.sqlite", target,
                             std::filesystem::copy_options::overwrite_existing);
  Database(target.string()).run("PRAGMA journal_mode = WAL");
  return target.string();
}

Score replay(const std::filesystem::path& folder, const Timeline& timeline,
             const std::string& mode) {
  Score score;
  score.name = mode;
  ReplayClock clock{timeline.start_s()};
  const std::string path = copy_database(folder, mode);
  if (mode == "none") {
    run_way(path, timeline, NoCache(), clock, score);
  } else if (mode.starts_with("ttl-")) {
    run_way(path, timeline, TtlCache(std::stod(mode.substr(4)), clock), clock, score);
  } else {
    run_way(path, timeline, Zoocache(timeline.number("drop_every")), clock, score);
  }
  std::filesystem::remove(path);
  return score;
}

// Says what zoocache did; the exit status.
int conclude(const std::vector<Score>& scores, bool broken) {
  for (const Score& score : scores) {
    if (score.name != "zoocache") continue;
    if (score.stale() == 0) {
      std::printf("zoocache: %s answers, not one of them stale.\n",
                  grouped(score.answers()).c_str());
      if (broken) std::puts("Invalidations were left out, and no stale answer was found.");
      return 0;
    }
    std::printf("zoocache gave %s stale answers, the first of them:\n",
                grouped(score.stale()).c_str());
    for (const std::string& example : score.examples) std::printf("  %s\n", example.c_str());
    if (broken) std::puts("(invalidations were left out on purpose, and the check has noticed)");
    return 1;
  }
  return 0;
}

int run_all(const std::filesystem::path& folder) {
  const Timeline timeline = read_timeline((folder / "timeline.sqlite").string());
  std::printf("replaying %s to %s: %s changes, %s\n", timeline.clock(timeline.start_s()).c_str(),
              timeline.clock(static_cast<double>(timeline.number("end")) * 60).c_str(),
              grouped(timeline.events.size()).c_str(), timeline.text("describe").c_str());
  std::fflush(stdout);
  std::vector<Score> scores;
  for (const std::string& mode : split(timeline.text("modes"), ',')) {
    scores.push_back(replay(folder, timeline, mode));
    if (isatty(STDERR_FILENO) == 0) {
      const Score& score = scores.back();
      std::printf("%s: %s answers, %s queries, %s stale, %.1f s\n", label_of(mode).c_str(),
                  grouped(score.answers()).c_str(), grouped(score.statements).c_str(),
                  grouped(score.stale()).c_str(), score.elapsed_s);
      std::fflush(stdout);
    }
  }
  print_table(scores);
  std::puts("every answer was checked against the database");
  return conclude(scores, timeline.number("drop_every") != 0);
}

}  // namespace
}  // namespace departures

int main(int count, char** arguments) {
  if (count != 2) {
    std::fputs("usage: departures FOLDER (written by examples/departures/prepare.py)\n", stderr);
    return 2;
  }
  try {
    return departures::run_all(arguments[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "departures: %s\n", error.what());
    return 2;
  }
}
