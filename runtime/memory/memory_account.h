#pragma once

#include <algorithm>
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
    raise(peak, before + bytes);
    raise(most, before + bytes);
    return true;
  }
  // What may lie unused so that the process holds no more than it had to, or is planned to, at its
  // highest moment.
  Bytes room() const {
    return std::min(most.load(std::memory_order_relaxed), limit.load(std::memory_order_relaxed)) -
           used.load(std::memory_order_relaxed);
  }
  void remove(Bytes bytes) { used.fetch_sub(bytes, std::memory_order_relaxed); }

  static constexpr Bytes kNoLimit = std::numeric_limits<Bytes>::max();

  static void raise(std::atomic<Bytes>& mark, Bytes bytes) {
    Bytes seen = mark.load(std::memory_order_relaxed);
    while (bytes > seen && !mark.compare_exchange_weak(seen, bytes, std::memory_order_relaxed)) {
    }
  }

  // `most` is the highest peak that was seen or planned; no meter resets it.
  std::atomic<Bytes> used{0}, peak{0}, most{0}, limit{kNoLimit};
  bool owned = false;  // by a meter; guarded by the list of accounts
};

// Frees what the counting allocator keeps.  [any thread]
void free_kept_pages();

// The account in charge of this thread.  [any thread]
MemoryMeter::Account& account_in_charge();

}  // namespace emulsion
