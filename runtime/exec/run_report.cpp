#include "exec/run_report.h"

#include <torch/headeronly/version.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#if defined(__linux__)
#include <time.h>
#include <unistd.h>
#endif

#include "emulsion/plugin.h"

namespace emulsion {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kSmallestShare = 0.001;  // of a node's time; what is below is added up

Json operator_json(const OperatorTimes& times, double whole) {
  Json row{{"operator", times.name},
           {"shapes", times.shapes},
           {"calls", times.calls},
           {"seconds", times.seconds},
           {"share", whole > 0 ? times.seconds / whole : 0}};
  if (times.flops > 0 && times.seconds > 0)
    row["gflops_per_second"] = times.flops / times.seconds * 1e-9;
  return row;
}

// The longest first; at the end what is small, and what no operation took.
Json operators_json(const RunReport::Step& step) {
  std::vector<OperatorTimes> operators = step.operators;
  std::ranges::sort(operators, std::ranges::greater{}, &OperatorTimes::seconds);
  Json list = Json::array();
  OperatorTimes small{.name = "(others)", .shapes = ""}, rest{.name = "(between)", .shapes = ""};
  rest.seconds = step.seconds;
  for (const OperatorTimes& one : operators) {
    rest.seconds -= one.seconds;
    if (one.seconds >= kSmallestShare * step.seconds) {
      list.push_back(operator_json(one, step.seconds));
      continue;
    }
    small.calls += one.calls;
    small.seconds += one.seconds;
  }
  if (small.calls > 0) list.push_back(operator_json(small, step.seconds));
  if (!operators.empty()) list.push_back(operator_json(rest, step.seconds));
  return list;
}

Json steps_json(const std::vector<RunReport::Step>& steps) {
  Json list = Json::array();
  for (const RunReport::Step& step : steps)
    list.push_back({{"node", step.node},
                    {"device", step.device},
                    {"variant", step.variant},
                    {"iterations", step.iterations},
                    {"seconds", step.seconds},
                    {"predicted_seconds", step.predicted_seconds},
                    {"estimated_peak_bytes", step.estimated_peak},
                    {"measured_peak_bytes", step.measured_peak},
                    {"notes", step.notes},
                    {"operators", operators_json(step)}});
  return list;
}

Json transfers_json(const std::vector<RunReport::Transfer>& transfers) {
  Json list = Json::array();
  for (const RunReport::Transfer& transfer : transfers)
    list.push_back({{"what", transfer.what},
                    {"from", transfer.from},
                    {"to", transfer.to},
                    {"bytes", transfer.bytes},
                    {"seconds", transfer.seconds},
                    {"predicted_seconds", transfer.predicted_seconds}});
  return list;
}

Json trace_json(const std::vector<RunReport::Span>& trace) {
  Json list = Json::array();
  for (const RunReport::Span& span : trace)
    list.push_back({{"device", span.device},
                    {"what", span.what},
                    {"begin", span.begin},
                    {"end", span.end},
                    {"peak_bytes", span.peak}});
  return list;
}

Json adapters_json(const std::vector<RunReport::Adapter>& adapters) {
  Json list = Json::array();
  for (const RunReport::Adapter& adapter : adapters)
    list.push_back({{"file", adapter.file},
                    {"resource", adapter.resource},
                    {"strength", adapter.strength},
                    {"unmatched", adapter.unmatched}});
  return list;
}

Json devices_json(const std::vector<RunReport::Device>& devices) {
  Json list = Json::array();
  for (const RunReport::Device& device : devices)
    list.push_back({{"name", device.name},
                    {"budget_bytes", device.budget},
                    {"planned_peak_bytes", device.planned_peak},
                    {"measured_peak_bytes", device.measured_peak}});
  return list;
}

}  // namespace

std::string to_json(const RunReport& report) {
  const Json json{
      {"graph", report.graph},
      {"dtype", report.dtype},
      {"profile", report.profile},
      {"seconds", report.seconds},
      {"predicted_seconds", report.predicted_seconds},
      {"devices", devices_json(report.devices)},
      {"steps", steps_json(report.steps)},
      {"transfers", transfers_json(report.transfers)},
      {"evictions", report.evictions},
      {"adapters", adapters_json(report.adapters)},
      {"replans", report.replans},
      {"trace", trace_json(report.trace)},
      {"denoise_seconds_per_step", report.denoise_seconds_per_step},
      {"load_seconds", report.load_seconds},
      {"ready_seconds", report.ready_seconds},
      {"first_step_seconds", report.first_step_seconds},
      {"versions",
       {{"emulsion", EMULSION_VERSION}, {"torch", TORCH_VERSION}, {"abi", EMULSION_ABI_STAMP}}}};
  return json.dump(2) + "\n";
}

double process_seconds() {
#if defined(__linux__)
  std::ifstream stat("/proc/self/stat");
  std::string line;
  std::getline(stat, line);
  // The second field, the program's name, may hold spaces; the start time is the 22nd.
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  timespec now{};
  if (!fields || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
  const double started = std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9 - started;
#else
  return 0;
#endif
}

}  // namespace emulsion
