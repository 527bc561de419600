#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "exec/run_report.h"
#include "memory/memory_meter.h"
#include "plan/execution_plan.h"

namespace emulsion {

// Writes down what a run does while it does it.  [run thread]
class RunRecorder {
 public:
  using Clock = std::chrono::steady_clock;

  RunRecorder(const Graph& graph, const std::vector<DeviceBudget>& devices,
              std::vector<std::shared_ptr<MemoryMeter>> meters);

  // Once for each plan that the run follows.
  void begin(const ExecutionPlan& plan);
  void begin_step(DeviceId device);
  // What follows begin_step().  They give what it took, in seconds.
  double note_run(const RunNode& step, const std::vector<OperatorTimes>& operators);
  double note_load(const LoadWeights& step);
  double note_copy(const CopyValue& step);
  void note_eviction(ComponentId component);
  void note_line(const RunNode& step, const std::string& line);  // that the node told
  void begin_loop();
  // Gives the seconds that the loop's iterations took, from `began` on.
  double note_iteration(const Loop& loop, std::int64_t iteration, Clock::time_point began);
  void end_loop(std::vector<double> iterations);
  void note_replan(std::string line) { report_.replans.push_back(std::move(line)); }

  // What was written so far.
  RunReport report() const;

 private:
  double end_step(DeviceId device, const std::string& what);
  void note_peaks();
  RunReport::Step& row(const RunNode& step);
  std::string name(const std::optional<DeviceId>& device) const;

  const Graph& graph_;
  std::vector<DeviceBudget> devices_;
  std::vector<std::shared_ptr<MemoryMeter>> meters_;  // by DeviceId
  Clock::time_point start_ = Clock::now(), step_ = start_;
  Bytes step_peak_ = 0;
  std::size_t longest_loop_ = 0;
  RunReport report_;
};

double seconds_between(RunRecorder::Clock::time_point begin, RunRecorder::Clock::time_point end);
double median(std::vector<double> samples);  // 0 of none

}  // namespace emulsion
