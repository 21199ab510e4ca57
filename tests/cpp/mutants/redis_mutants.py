"""Broken logs of a Redis home: what the rules of `src/redis/follower.h` are there for.

Each has to be noticed by tests in virtual time, which need neither a server nor Boost.
"""

from __future__ import annotations

from mutants import Mutant

FOLLOWER = "src/redis/follower.cpp"
CALLS = "src/redis/follower_calls.cpp"
HOLDS = "src/redis/follower_holds.cpp"
FOLLOWER_H = "src/redis/follower.h"
LEASE = "src/redis/lease.h"
JOURNAL = "src/redis/journal.cpp"
INTENTS = "src/redis/intents.cpp"
LEVEL_CLIENT = "src/redis/level_client.cpp"
FOLLOWER_INTENTS = "src/redis/follower_intents.cpp"


def redis(
    name: str,
    model: str,
    file: str,
    old: str,
    new: str,
    *,
    test: str = "log_simulation",
    quick: bool = False,
) -> Mutant:
    """A mutant that a test without a server has to notice."""
    program = f"redis_{test}_test"
    return Mutant(f"redis: {name}", model, file, old, new, program=program, quick=quick)


REDIS_MUTANTS = [
    redis(
        "trust runs from the answer to a heartbeat",
        "",
        FOLLOWER,
        "    lease_.granted(sent_ns, beat->clock);\n",
        "    lease_.granted(now_ns(), beat->clock);\n",
        quick=True,
    ),
    redis(
        "trust without having applied the clock of the heartbeat",
        "redis without HBCLK",
        LEASE,
        "    return nonce_ != 0 && !is_lost_ && !has_gap() ? until_ns_ : 0;\n",
        "    return nonce_ != 0 && !is_lost_ ? until_ns_ : 0;\n",
    ),
    redis(
        "a message moves what is applied over a gap",
        "redis",
        LEASE,
        "    if (epoch != applied_ + 1) {\n",
        "    if (false) {\n",
    ),
    redis(
        "what is applied becomes the clock of the first page",
        "page EARLY",
        FOLLOWER,
        "      cursor->after = page->upto;\n",
        "      cursor->after = page->upto;\n      lease_.caught_up(page->clock);\n"
        "      publish();\n      return Step::kFresh;\n",
    ),
    redis(
        "a page is not applied",
        "",
        FOLLOWER,
        "    core::apply_changes(log_, changes_of(page->texts));\n",
        "    static_cast<void>(changes_of(page->texts));\n",
    ),
    redis(
        "the floor is not looked at",
        "",
        FOLLOWER,
        "  if (page->floor > cursor->after) {  // interleaving (4)\n",
        "  if (false) {\n",
    ),
    redis(
        "another generation does not invalidate everything",
        "redis without GEN",
        FOLLOWER,
        "  flush();\n  lease_.begin(",
        "  lease_.begin(",
        quick=True,
    ),
    redis(
        "heartbeats of another generation go on with the known one",
        "redis without GEN",
        LEASE,
        "{ return nonce == nonce_ && !is_lost_; }\n",
        "{ return nonce_ != 0 && nonce != 0 && !is_lost_; }\n",
    ),
    redis(
        "messages of another generation count",
        "redis without MSGGEN",
        FOLLOWER,
        "    must_beat = !news || news->nonce != lease_.nonce() || news->epoch == 0;\n",
        "    must_beat = !news || lease_.nonce() == 0 || news->epoch == 0;\n",
        test="log_lease",
    ),
    redis(
        "a process without a server serves for more than eight leases",
        "wait",
        LEASE,
        "kForlornLeases = 8;",
        "kForlornLeases = 9;",
        test="log_lease",
        quick=True,
    ),
    redis(
        "one that was never registered serves what it has",
        "wait UNREG",
        LEASE,
        "    const bool may_serve = is_registered_ && has_forgotten_ &&\n"
        "                           now_ns < ended_ns_ + kForlornLeases * span_ns_ &&\n",
        "    const bool may_serve = has_forgotten_ &&\n"
        "                           (ended_ns_ == 0 ||\n"
        "                            now_ns < ended_ns_ + kForlornLeases * span_ns_) &&\n",
        test="log_lease",
    ),
    redis(
        "every caller waits for a server that is silent",
        "",
        CALLS,
        "  if (!pass.is_allowed) return false;\n",
        "",
        test="log_lease",
    ),
    redis(
        "what was not acknowledged is forgotten",
        "",
        CALLS,
        "    journal_.keep(changes);\n",
        "    core::release_changes(log_, changes);\n",
        quick=True,
    ),
    redis(
        "a journal is not replayed",
        "journal without JOURNAL",
        FOLLOWER,
        "  journal_.replay(beat.nonce, began_ns(beat.age_ms, sent_ns));\n",
        "  static_cast<void>(sent_ns);\n",
    ),
    redis(
        "a journal that does not reach back is taken for whole",
        "",
        JOURNAL,
        "  if (forgotten_ns_ != kNever && forgotten_ns_ >= began_ns) {\n",
        "  if (forgotten_ns_ != kNever && began_ns == INT64_MAX) {\n",
    ),
    redis(
        "a hit does not look at the time",
        "",
        FOLLOWER_H,
        "    if (until_ns == 0) return false;\n",
        "    if (until_ns != 0) return true;\n",
    ),
    redis(
        "without trust everything is served",
        "",
        LEASE,
        "    if (may_serve) return false;\n",
        "    if (is_registered_) return false;\n",
    ),
    redis(
        "without trust everything is forgotten once, and not again after a lease",
        "wait FRESHBIRTH",
        LEASE,
        "                           now_ns < forgot_ns_ + span_ns_;\n",
        "                           now_ns < forgot_ns_ + 100 * span_ns_;\n",
    ),
    redis(
        "what was stored under a trust that ended is kept",
        "",
        LEASE,
        "  void note_trusted() noexcept { has_forgotten_ = false; }\n",
        "  void note_trusted() noexcept { has_forgotten_ = true; forgot_ns_ = until_ns_; }\n",
    ),
    redis(
        "what is declared does not take effect before it is acknowledged",
        "",
        CALLS,
        "  core::apply_changes(log_, changes, origin);\n  std::string why;\n",
        "  std::string why;\n",
    ),
    redis(
        "an intent of a silent owner is not fired",
        "intent NOFIRE",
        INTENTS,
        "    if (auto firing = judge(one, is_alive, age_ns)) "
        "work.fire.push_back(std::move(*firing));\n",
        "    static_cast<void>(judge(one, is_alive, age_ns));\n",
        test="log_intent_rules",
        quick=True,
    ),
    redis(
        "an owner is dead for whoever sees it first",
        "",
        INTENTS,
        "(one.beat != 0 && silent_ns < lease_ns_)",
        "(one.beat != 0 && silent_ns > 0 && silent_ns < lease_ns_)",
        test="log_intent_rules",
    ),
    redis(
        "one that was heard of again counts as fired",
        "",
        INTENTS,
        "  const bool has_fired = one.state == silent_at(one.beat);\n",
        "  const bool has_fired = one.state % 2 == 1;\n",
        test="log_intent_rules",
    ),
    redis(
        "too old is as good as dead",
        "",
        INTENTS,
        "{ return 2 * (beat % kMostBeats) + 2; }\n",
        "{ return 2 * (beat % kMostBeats) + 1; }\n",
        test="log_intent_rules",
    ),
    redis(
        "open intents are not declared again",
        "",
        FOLLOWER_INTENTS,
        "        for (const std::string& member : work.declare) {\n",
        "        for (const std::string& member : std::vector<std::string>()) {\n",
        test="log_intent_rules",
    ),
    redis(
        "the rest of a lost reply stays",
        "",
        INTENTS,
        "      work.fire.push_back({one.name, one.state, std::nullopt});\n",
        "",
        test="log_intent_rules",
    ),
    redis(
        "what is fired for others is passed over by who fired it",
        "",
        INTENTS,
        "  call.arguments[1] = std::string(1, '-');",
        "  call.arguments[1] = place.node;",
        test="log_intent_rules",
    ),
    redis(
        "the end of a block leaves its intent",
        "",
        FOLLOWER_INTENTS,
        "  if (!member) return append(changes, origin);\n",
        "  if (member) return append(changes, origin);\n",
        test="log_intent_rules",
    ),
    redis(
        "stored values are taken for valid without a look",
        "",
        HOLDS,
        "return index_.newest(text) > born;",
        "return text.size() > 999;",
        quick=True,
    ),
    redis(
        "the check of stored values does not know what was pushed",
        "",
        FOLLOWER,
        "      note_applied(news->texts, news->epoch);\n",
        "",
    ),
    redis(
        "the check of stored values does not know what this process declared",
        "",
        FOLLOWER,
        "    for (const Change& change : changes) index_.note(change.text, receipt.epoch);\n",
        "",
    ),
    redis(
        "the check of stored values does not know what a page told",
        "",
        FOLLOWER,
        "    note_applied(page->texts, page->upto);\n",
        "",
    ),
    redis(
        "what was forgotten is taken for known by the check of stored values",
        "",
        HOLDS,
        "      if (born < index_.floor()) return Verdict::kAsk;\n",
        "",
        test="log_status",
    ),
    redis(
        "what is declared and not acknowledged does not refuse stored values",
        "",
        HOLDS,
        "    if (none == core::kForever || core::is_any_held(log_, one.texts)) continue;\n",
        "    if (none == core::kForever) continue;\n",
        test="log_status",
    ),
    redis(
        "a server that took over is believed before it answered a heartbeat",
        "",
        HOLDS,
        "found[index].nonce == one.generation && one.born >= found[index].floor",
        "one.born >= found[index].floor",
        test="log_status",
    ),
    redis(
        "what is declared again is not held",
        "",
        JOURNAL,
        "  core::hold_changes(log_, {&change, 1});\n  keep(text);\n",
        "  keep(text);\n",
    ),
    redis(
        "a log that needs a newer version is trusted",
        "",
        FOLLOWER,
        "  const bool may_trust = refusal_.empty() && !is_outdated();\n",
        "  const bool may_trust = refusal_.empty();\n",
        test="log_version",
    ),
    redis(
        "who is too old for the log serves up to a lease, as without a server",
        "",
        CALLS,
        "(is_outdated() || lease_.must_forget(now_ns()))",
        "lease_.must_forget(now_ns())",
        test="log_version",
    ),
    redis(
        "who was too old takes what came meanwhile for read",
        "",
        FOLLOWER,
        "    } else if (was_outdated || is_outdated()) {\n",
        "    } else if (was_outdated && is_outdated()) {\n",
        test="log_version",
    ),
    redis(
        "a receipt does not say that the log needs a newer version",
        "",
        FOLLOWER,
        "  if (receipt.needs > kLogVersion) needs_.store(receipt.needs);  // a heartbeat ends it\n",
        "",
        test="log_version",
    ),
    redis(
        "who is too old for the log cannot declare",
        "",
        CALLS,
        "  breaker_.report(pass, is_good || is_outdated(), now_ns());  // it has answered\n",
        "  breaker_.report(pass, is_good, now_ns());\n",
        test="log_version",
    ),
    redis(
        "who is too old for the log does not declare again",
        "",
        FOLLOWER,
        "        if (step == Step::kFailed && !is_outdated()) return;\n",
        "        if (step == Step::kFailed) return;\n",
        test="log_version",
    ),
    redis(
        "level: what is told of a claim's end wakes nobody",
        "",
        LEVEL_CLIENT,
        "SecondLevel::Waited::kFailed : SecondLevel::Waited::kEnded;\n  is_told_.notify_all();\n",
        "SecondLevel::Waited::kFailed : SecondLevel::Waited::kEnded;\n",
        test="level_told",
        quick=True,
    ),
    redis(
        "level: a failed load is told as any other end",
        "",
        LEVEL_CLIENT,
        "  const bool has_failed = text.starts_with('!');\n"
        "  if (has_failed) text.remove_prefix(1);\n",
        "  if (text.starts_with('!')) text.remove_prefix(1);\n  const bool has_failed = false;\n",
        test="level_told",
    ),
    redis(
        "level: a subscription that came after the look counts for it",
        "",
        LEVEL_CLIENT,
        " && client_.subscriptions_ == subscription_;\n",
        ";\n",
        test="level_told",
    ),
    redis(
        "level: who waits sleeps on when the subscription is lost",
        "",
        LEVEL_CLIENT,
        "own.outcome || (hears && !would_hear());",
        "own.outcome.has_value();",
        test="level_told",
    ),
    redis(
        "level: who is not noted waits to be told",
        "",
        LEVEL_CLIENT,
        "    return is_noted && client_.is_subscribed_",
        "    return client_.is_subscribed_",
        test="level_told",
    ),
    redis(
        "level: nobody subscribes",
        "",
        LEVEL_CLIENT,
        "  client_.transport_->open(Link::kControl);\n",
        "",
        test="level_told",
    ),
    redis(
        "level: a message of another channel ends a wait",
        "",
        LEVEL_CLIENT,
        "message.items.size() < 3 || message.items[1].text != channel_",
        "message.items.size() < 3",
        test="level_told",
    ),
    redis(
        "level: a number with something behind it is a token",
        "",
        LEVEL_CLIENT,
        "  return error == std::errc() && stop == text.data() + text.size() ? token : 0;\n",
        "  return error == std::errc() && stop != nullptr ? token : 0;\n",
        test="level_told",
    ),
]
