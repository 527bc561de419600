#include "plan/placement.h"

#include <algorithm>

namespace emulsion {

std::size_t device_at(const PlacementProblem& problem, const Assignment& assignment,
                      std::size_t position) {
  if (position == kNone) return problem.host();
  return problem.runs[position].options[assignment[position]].device;
}

std::vector<Replica> replicas_of(const PlacementProblem& problem, const Assignment& assignment) {
  std::vector<Replica> replicas;
  for (std::size_t v = 0; v < problem.values.size(); ++v) {
    const PlacementValue& value = problem.values[v];
    const std::size_t home = replicas.size(), device = device_at(problem, assignment, value.home);
    replicas.push_back({v, device, value.begin, value.end, true, 0, 1});
    for (const PlacementValue::Read& read : value.reads) {
      const std::size_t reader = device_at(problem, assignment, read.position);
      const auto same = [&](const Replica& replica) { return replica.device == reader; };
      const auto found =
          std::find_if(replicas.begin() + static_cast<std::ptrdiff_t>(home), replicas.end(), same);
      if (found == replicas.end()) {
        replicas.push_back({v, reader, read.begin, read.end, false, read.copied_at, read.times});
      } else {
        if (!found->is_home) {
          found->begin = std::min(found->begin, read.begin);
          found->copied_at = std::min(found->copied_at, read.copied_at);
        }
        found->end = std::max(found->end, read.end);
        found->times = std::max(found->times, read.times);
      }
      if (reader != device) replicas[home].end = std::max(replicas[home].end, read.copied_at);
    }
  }
  return replicas;
}

double file_rate(const PlacementDevice& device, const PlacementComponent& component) {
  return component.mapped * device.mappable_seconds +
         (1 - component.mapped) * device.converted_seconds + component.changing_seconds;
}

double file_seconds(const PlacementDevice& device, const PlacementComponent& component,
                    Bytes bytes) {
  return static_cast<double>(bytes) * file_rate(device, component);
}

double copy_seconds(const PlacementProblem& problem, std::size_t from, std::size_t to,
                    Bytes bytes) {
  const auto count = static_cast<double>(bytes);
  double seconds = 0;
  for (const std::size_t end : {from, to})
    if (end != problem.host()) seconds += problem.devices[end].latency;
  if (from != problem.host()) seconds += count * problem.devices[from].to_host;
  if (to != problem.host()) seconds += count * problem.devices[to].from_host;
  return seconds;
}

}  // namespace emulsion
