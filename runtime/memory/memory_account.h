#pragma once

#include <atomic>
#include <limits>

#include "memory/memory_meter.h"

namespace emulsion {

// Bytes in use.  Accounts are never freed, so that a block of memory and a thread that comes late
// may hold on to one without counting holders: a meter takes over one that nobody uses any more.
struct MemoryMeter::Account {
  // False, and nothing is counted, when that would pass the limit.
  bool add(Bytes bytes) {
    Bytes before = used.load(std::memory_order_relaxed);
    do {
      if (bytes > limit.load(std::memory_order_relaxed) - before) return false;
    } while (!used.compare_exchange_weak(before, before + bytes, std::memory_order_relaxed));
    Bytes seen = peak.load(std::memory_order_relaxed);
    while (before + bytes > seen &&
           !peak.compare_exchange_weak(seen, before + bytes, std::memory_order_relaxed)) {
    }
    return true;
  }
  void remove(Bytes bytes) { used.fetch_sub(bytes, std::memory_order_relaxed); }

  static constexpr Bytes kNoLimit = std::numeric_limits<Bytes>::max();

  std::atomic<Bytes> used{0}, peak{0}, limit{kNoLimit};
  bool owned = false;  // by a meter; guarded by the list of accounts
};

// The account in charge of this thread.  [any thread]
MemoryMeter::Account& account_in_charge();

}  // namespace emulsion
