#include "plan/residency_cost.h"

#include <algorithm>

namespace emulsion {
namespace {

using Station = Residency::Station;

// Copies beside the work of a device are not quite free: both use its memory.
constexpr double kCopyingSlowsBy = 0.1;

double times_at(const PlacementProblem& problem, std::size_t position) {
  const std::size_t loop = problem.runs[position].loop;
  return loop == kNone ? 1 : problem.loops[loop].iterations;
}

// Loads in one run of the graph.
double loads_of(const PlacementProblem& problem, const Residency& weights) {
  double loads = 0;
  for (const Station& station : weights.stations) {
    if (station.kept_before) continue;
    if (station.loop == kNone || station.pinned) {
      loads += 1;
      continue;
    }
    const auto gaps = static_cast<double>(std::ranges::count(station.stays, false));
    loads += problem.loops[station.loop].iterations * (1 + gaps);
  }
  return loads;
}

// Seconds that one run waits for the blocks of these weights.
double stream_wait(const PlacementProblem& problem, const PlacementOption& option,
                   const Residency& weights) {
  if (weights.level->blocks.empty()) return 0;
  const PlacementDevice& device = problem.devices[weights.device];
  const auto bytes = static_cast<double>(weights.level->streamed) * option.passes;
  const double rate = weights.via_host ? device.from_host
                                       : file_rate(device, problem.components[weights.component]);
  const double seconds = bytes * rate + device.latency * option.passes *
                                            static_cast<double>(weights.level->blocks.size());
  const bool beside = weights.level->prefetch && device.copies_beside;
  return beside ? std::max(kCopyingSlowsBy * seconds, seconds - option.seconds) : seconds;
}

// Seconds to make the copy in host memory.  A single load is no faster by way of it, since reading
// files passes through host memory in any case.
double host_copy_seconds(const PlacementProblem& problem, const Residency& weights) {
  const PlacementComponent& component = problem.components[weights.component];
  const PlacementDevice& device = problem.devices[weights.device];
  const double direct = file_seconds(device, component, component.bytes);
  const double onward = static_cast<double>(component.bytes) * device.from_host;
  return std::max(file_seconds(problem.devices.back(), component, component.bytes),
                  direct - onward);
}

void add(std::vector<Bytes>& usage, std::size_t begin, std::size_t end, Bytes bytes) {
  for (std::size_t p = begin; p < std::min(end, usage.size()); ++p) usage[p] += bytes;
}

// What the host needs to change tensors that go straight to another device.
void add_changing(Bytes changing, const Residency& weights, std::vector<Bytes>& host) {
  if (changing == 0) return;
  for (const Station& station : weights.stations) {
    if (weights.reads_during(station))
      add(host, station.begin, station.end, changing);
    else if (!station.kept_before)
      add(host, station.begin, station.begin + 1, changing);
  }
}

}  // namespace

double cost_of(const PlacementProblem& problem, const Assignment& assignment,
               const Residency& weights) {
  const double load = load_seconds(problem, weights);
  double seconds = load * loads_of(problem, weights);
  const bool returns = problem.repeats && problem.after_use != AfterUse::Drop;
  if (returns && !weights.kept_after) seconds += load;
  if (weights.via_host) seconds += host_copy_seconds(problem, weights);
  for (const Station& station : weights.stations)
    for (const std::size_t use : station.uses)
      seconds += times_at(problem, use) *
                 stream_wait(problem, problem.runs[use].options[assignment[use]], weights);
  return seconds;
}

void add_weights(const PlacementProblem& problem, const Residency& weights, Usage& usage) {
  std::vector<Bytes>& device = usage[weights.device];
  const Bytes held = weights.held;
  std::size_t before = 0;
  for (const Station& station : weights.stations) {
    if (station.kept_before) add(device, before, station.begin, held);
    before = station.end;
    if (station.loop == kNone || station.pinned) {
      add(device, station.begin, station.end, held);
      continue;
    }
    for (std::size_t i = 0; i < station.uses.size(); ++i) {
      const bool stays = i < station.stays.size() && station.stays[i];
      add(device, station.uses[i], stays ? station.uses[i + 1] : station.uses[i] + 1, held);
    }
  }
  if (weights.kept_after) add(device, before, device.size(), held);
  const PlacementComponent& component = problem.components[weights.component];
  if (!weights.via_host) {
    if (weights.device != problem.host()) add_changing(component.changing, weights, usage.back());
    return;
  }
  const std::size_t begin = weights.stations.front().begin;
  add(usage.back(), begin, weights.host_end(), component.bytes);
  add(usage.back(), begin, begin + 1, component.staging);
}

Usage base_usage(const PlacementProblem& problem, const Assignment& assignment) {
  Usage usage(problem.devices.size(), std::vector<Bytes>(problem.runs.size(), 0));
  for (const Replica& replica : replicas_of(problem, assignment))
    add(usage[replica.device], replica.begin, replica.end, problem.values[replica.value].bytes);
  // Weights are read before a run, or before the loop; staging ends before the node works.
  std::vector<Bytes> host_work(problem.runs.size(), 0);
  for (std::size_t p = 0; p < problem.runs.size(); ++p) {
    const PlacementRun& run = problem.runs[p];
    const PlacementOption& option = run.options[assignment[p]];
    const PlacementLoop around =
        run.loop == kNone ? PlacementLoop{p, p + 1} : problem.loops[run.loop];
    add(usage[option.device], around.begin, around.end, option.memo);
    if (option.device != problem.host()) {
      usage[option.device][p] += option.workspace;
      continue;
    }
    host_work[p] = std::max(host_work[p], option.workspace);
    for (const std::size_t component : run.components)
      for (const std::size_t position : {around.begin, p})
        host_work[position] = std::max(host_work[position], problem.components[component].staging);
  }
  for (std::size_t p = 0; p < problem.runs.size(); ++p) usage.back()[p] += host_work[p];
  return usage;
}

double base_seconds(const PlacementProblem& problem, const Assignment& assignment) {
  double seconds = 0;
  for (std::size_t p = 0; p < problem.runs.size(); ++p)
    seconds += times_at(problem, p) * problem.runs[p].options[assignment[p]].seconds;
  std::size_t home = 0;
  for (const Replica& replica : replicas_of(problem, assignment)) {
    if (replica.is_home)
      home = replica.device;
    else
      seconds += replica.times *
                 copy_seconds(problem, home, replica.device, problem.values[replica.value].bytes);
  }
  return seconds;
}

std::size_t Residency::host_end() const {
  std::size_t end = 0;
  for (const Station& station : stations) {
    if (reads_during(station))
      end = station.end;
    else if (!station.kept_before)
      end = station.begin + 1;
  }
  return end;
}

bool Residency::reads_during(const Station& station) const {
  return !level->blocks.empty() || (station.loop != kNone && !station.pinned);
}

double load_seconds(const PlacementProblem& problem, const Residency& weights) {
  const PlacementComponent& component = problem.components[weights.component];
  const PlacementDevice& device = problem.devices[weights.device];
  const Bytes passed = component.bytes - weights.level->streamed;
  if (weights.via_host) return device.latency + static_cast<double>(passed) * device.from_host;
  return device.latency + file_seconds(device, component, passed);
}

double run_seconds(const PlacementProblem& problem, const PlacementOption& option,
                   const std::vector<const Residency*>& weights) {
  double seconds = option.seconds;
  for (const Residency* held : weights) seconds += stream_wait(problem, option, *held);
  return seconds;
}

std::vector<std::vector<Bytes>> usage_of(const PlacementProblem& problem,
                                         const Assignment& assignment,
                                         const std::vector<Residency>& weights) {
  Usage usage = base_usage(problem, assignment);
  for (const Residency& held : weights) add_weights(problem, held, usage);
  return usage;
}

double seconds_of(const PlacementProblem& problem, const Assignment& assignment,
                  const std::vector<Residency>& weights) {
  double seconds = base_seconds(problem, assignment);
  for (const Residency& held : weights) seconds += cost_of(problem, assignment, held);
  return seconds;
}

}  // namespace emulsion
