#include "plan/residency.h"

#include <algorithm>

namespace emulsion {
namespace {

constexpr std::size_t kNever = static_cast<std::size_t>(-1);

class ResidencyPlanner {
 public:
  ResidencyPlanner(const std::vector<ResidencyNeed>& units, const std::vector<Bytes>& bytes,
                   Bytes capacity)
      : units_(units), bytes_(bytes), capacity_(capacity) {}

  std::vector<ResidencyChange> plan() {
    std::vector<ResidencyChange> changes;
    for (std::size_t u = 0; u < units_.size(); ++u) changes.push_back(step(u));
    return changes;
  }

 private:
  ResidencyChange step(std::size_t u) {
    const ResidencyNeed& unit = units_[u];
    ResidencyChange change;
    Bytes wanted = unit.transient;
    for (const ComponentId id : unit.weights) {
      if (resident_.contains(id)) continue;
      change.load.push_back(id);
      wanted += bytes_[index(id)];
    }
    change.evict = choose_evictions(u, wanted);
    for (const ComponentId id : change.evict) drop(id);
    for (const ComponentId id : change.load) hold(id);
    change.resident = resident_bytes_;
    for (const ComponentId id : std::set(resident_))
      if (next_use(id, u + 1) == kNever) {
        change.release.push_back(id);
        drop(id);
      }
    return change;
  }

  // The run order is known, so the weights whose next use is furthest away go first.
  std::vector<ComponentId> choose_evictions(std::size_t u, Bytes wanted) const {
    std::vector<ComponentId> unpinned;
    for (const ComponentId id : resident_)
      if (!units_[u].weights.contains(id)) unpinned.push_back(id);
    std::ranges::stable_sort(unpinned, std::ranges::greater{},
                             [&](ComponentId id) { return next_use(id, u); });
    std::vector<ComponentId> evicted;
    Bytes free = capacity_ - resident_bytes_;
    for (const ComponentId id : unpinned) {
      if (free >= wanted) break;
      evicted.push_back(id);
      free += bytes_[index(id)];
    }
    return evicted;
  }

  std::size_t next_use(ComponentId id, std::size_t from) const {
    for (std::size_t u = from; u < units_.size(); ++u)
      if (units_[u].weights.contains(id)) return u;
    return kNever;
  }

  void hold(ComponentId id) {
    resident_.insert(id);
    resident_bytes_ += bytes_[index(id)];
  }

  void drop(ComponentId id) {
    resident_.erase(id);
    resident_bytes_ -= bytes_[index(id)];
  }

  const std::vector<ResidencyNeed>& units_;
  const std::vector<Bytes>& bytes_;
  const Bytes capacity_;
  std::set<ComponentId> resident_;
  Bytes resident_bytes_ = 0;
};

}  // namespace

std::vector<ResidencyChange> plan_residency(const std::vector<ResidencyNeed>& units,
                                            const std::vector<Bytes>& component_bytes,
                                            Bytes capacity) {
  return ResidencyPlanner(units, component_bytes, capacity).plan();
}

std::set<ComponentId> pinned_in_loop(const std::vector<ResidencyNeed>& body,
                                     const std::vector<Bytes>& component_bytes, Bytes capacity) {
  std::set<ComponentId> all;
  for (const ResidencyNeed& run : body) all.insert(run.weights.begin(), run.weights.end());
  std::vector<ComponentId> largest_first(all.begin(), all.end());
  std::ranges::stable_sort(largest_first, std::ranges::greater{},
                           [&](ComponentId id) { return component_bytes[index(id)]; });
  std::set<ComponentId> pinned;
  for (const ComponentId id : largest_first) {
    pinned.insert(id);
    const auto fits = [&](const ResidencyNeed& run) {
      ResidencyNeed both = run;
      both.weights.insert(pinned.begin(), pinned.end());
      return bytes_of(both, component_bytes) <= capacity;
    };
    if (!std::ranges::all_of(body, fits)) pinned.erase(id);
  }
  return pinned;
}

Bytes bytes_of(const ResidencyNeed& need, const std::vector<Bytes>& component_bytes) {
  Bytes sum = need.transient;
  for (const ComponentId id : need.weights) sum += component_bytes[index(id)];
  return sum;
}

}  // namespace emulsion
