// When something was read that a load uses: what came of the load is as old as that.
//
// A load is `born` when it begins, because what it reads it reads after that. Data that was read
// before makes it older: an object that its caller holds, the snapshot of a transaction that was
// begun outside. Its result then has to have stood from that moment on, here and in the home.
#pragma once

#include <algorithm>

#include "core/epoch.h"
#include "core/home.h"

namespace zoocache::core {

struct Moment {
  Epoch epoch = ~Epoch{0};  // of the local log; as it is here: now, as nothing older was used
  HomePosition home;        // means nothing without a home
  bool is_now() const noexcept { return epoch == ~Epoch{0}; }
};

// What is read from here on is no older. Takes no look at the home: what it has acknowledged and
// was not applied yet gets a later epoch.
template <class Log>
Moment moment_of(const Log& log) noexcept {
  Moment moment;
  moment.epoch = log.clock();
  if (log.home() != nullptr) moment.home = log.home()->position();
  return moment;
}

// As old as the older one, in each clock.
inline HomePosition older_of(const HomePosition& one, const HomePosition& other) noexcept {
  if (!one.trusted || !other.trusted || one.generation != other.generation) return {};
  return {true, one.generation, std::min(one.epoch, other.epoch)};
}
inline Moment older_of(const Moment& one, const Moment& other) noexcept {
  if (one.is_now()) return other;
  if (other.is_now()) return one;
  return {std::min(one.epoch, other.epoch), older_of(one.home, other.home)};
}

}  // namespace zoocache::core
