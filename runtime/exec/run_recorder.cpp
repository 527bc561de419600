#include "exec/run_recorder.h"

#include <algorithm>

#include "emulsion/str.h"

namespace emulsion {

double seconds_between(RunRecorder::Clock::time_point begin, RunRecorder::Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

double median(std::vector<double> samples) {
  if (samples.empty()) return 0;
  const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
  std::nth_element(samples.begin(), middle, samples.end());
  return *middle;
}

RunRecorder::RunRecorder(const Graph& graph, const std::vector<DeviceBudget>& devices,
                         std::vector<std::shared_ptr<MemoryMeter>> meters)
    : graph_(graph), devices_(devices), meters_(std::move(meters)) {
  report_.graph = graph.name;
  for (const DeviceBudget& device : devices)
    report_.devices.push_back({device.name, device.capacity, 0, 0});
  for (const auto& meter : meters_) meter->reset_peak();
}

void RunRecorder::begin(const ExecutionPlan& plan) {
  report_.dtype = dtype_text(plan.dtype);
  report_.profile = plan.profile;
  if (report_.predicted_seconds == 0) report_.predicted_seconds = plan.seconds;
  for (std::size_t i = 0; i < plan.devices.size(); ++i) {
    Bytes& planned = report_.devices[i].planned_peak;
    planned = std::max(planned, plan.devices[i].peak);
  }
}

void RunRecorder::begin_step(DeviceId device) {
  note_peaks();
  meters_[static_cast<std::size_t>(device)]->reset_peak();
  step_ = Clock::now();
}

double RunRecorder::note_run(const RunNode& step, const std::vector<OperatorTimes>& operators) {
  const double seconds = end_step(step.device, graph_.node(step.node).name);
  RunReport::Step& row = this->row(step);
  ++row.iterations;
  row.seconds += seconds;
  row.predicted_seconds += step.seconds;
  row.measured_peak = std::max(row.measured_peak, step_peak_);
  add_up(row.operators, operators);
  return seconds;
}

void RunRecorder::note_line(const RunNode& step, const std::string& line) {
  row(step).notes.push_back(line);
}

double RunRecorder::note_load(const LoadWeights& step) {
  const std::string& name = graph_.component(step.component).name;
  const double seconds = end_step(step.device, name);
  report_.load_seconds += seconds;
  report_.transfers.push_back(
      {name, this->name(step.from), this->name(step.device), step.passed, seconds, step.seconds});
  return seconds;
}

double RunRecorder::note_copy(const CopyValue& step) {
  const std::string& name = graph_.value(step.value).name;
  const double seconds = end_step(step.to, name);
  report_.transfers.push_back(
      {name, this->name(step.from), this->name(step.to), step.bytes, seconds, step.seconds});
  return seconds;
}

void RunRecorder::note_eviction(ComponentId component) {
  report_.evictions.push_back(graph_.component(component).name);
}

void RunRecorder::begin_loop() {
  if (report_.ready_seconds == 0) report_.ready_seconds = process_seconds();
}

double RunRecorder::note_iteration(const Loop& loop, std::int64_t iteration,
                                   Clock::time_point began) {
  const Clock::time_point now = Clock::now();
  if (report_.first_step_seconds == 0) report_.first_step_seconds = process_seconds();
  report_.trace.push_back({"", str(loop.name, " ", iteration + 1), seconds_between(start_, began),
                           seconds_between(start_, now), 0});
  return seconds_between(began, now);
}

void RunRecorder::end_loop(std::vector<double> iterations) {
  if (iterations.size() < longest_loop_) return;
  longest_loop_ = iterations.size();
  if (iterations.size() > 1) iterations.erase(iterations.begin());
  report_.denoise_seconds_per_step = median(std::move(iterations));
}

RunReport RunRecorder::report() const {
  RunReport report = report_;
  report.seconds = seconds_between(start_, Clock::now());
  return report;
}

double RunRecorder::end_step(DeviceId device, const std::string& what) {
  const Clock::time_point now = Clock::now();
  step_peak_ = meters_[static_cast<std::size_t>(device)]->peak();
  note_peaks();
  report_.trace.push_back({name(device), what, seconds_between(start_, step_),
                           seconds_between(start_, now), step_peak_});
  return seconds_between(step_, now);
}

void RunRecorder::note_peaks() {
  for (std::size_t i = 0; i < meters_.size(); ++i) {
    Bytes& highest = report_.devices[i].measured_peak;
    highest = std::max(highest, meters_[i]->peak());
  }
}

RunReport::Step& RunRecorder::row(const RunNode& step) {
  const std::string& node = graph_.node(step.node).name;
  const std::string device = name(step.device);
  const auto is_same = [&](const RunReport::Step& row) {
    return row.node == node && row.device == device && row.variant == step.variant;
  };
  const auto found = std::ranges::find_if(report_.steps, is_same);
  if (found != report_.steps.end()) {
    found->estimated_peak = std::max(found->estimated_peak, step.peak);
    return *found;
  }
  report_.steps.push_back({node, device, step.variant, 0, 0, 0, step.peak, 0, {}, {}});
  return report_.steps.back();
}

std::string RunRecorder::name(const std::optional<DeviceId>& device) const {
  return device ? devices_[static_cast<std::size_t>(*device)].name : "disk";
}

}  // namespace emulsion
