#pragma once

#include <string>
#include <vector>

#include "plan/execution_plan.h"

namespace emulsion {

// What is in a device's memory for a while, in predicted seconds since the start of the run.
struct MemorySpan {
  double begin = 0, end = 0;
  Bytes weights = 0;
  Bytes others = 0;  // values, workspace and memos, at their most
  std::string what;  // "unet", "load sd.unet"; empty while another device is at work

  Bytes bytes() const { return weights + others; }
};

// A name for a part of the time: a node outside of loops, a loop with its count, or a load.
struct ChartLabel {
  double begin = 0, end = 0;
  std::string text;
};

struct DeviceChart {
  DeviceId device{};
  std::vector<MemorySpan> spans;   // without gaps, from 0 to the end
  std::vector<ChartLabel> labels;  // of what runs on this device, in order
};

// Memory over predicted time, by DeviceId.  [any thread]
std::vector<DeviceChart> charts_of(const ExecutionPlan& plan, const Graph& graph);

// True where the device does more for a run than to pass values on.
bool is_worth_a_look(const DeviceChart& chart, const DevicePlan& device);

// In 72 columns of characters.  The chart must not be empty.
std::string drawn_in_text(const DeviceChart& chart, const DevicePlan& device);

// "12.3 s", "0.04 s", "4 min 05 s".
std::string seconds_text(double seconds);

}  // namespace emulsion
