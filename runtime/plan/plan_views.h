#pragma once

#include <string>
#include <string_view>

#include "plan/execution_plan.h"

namespace emulsion {

// What a person wants to know: a row a node with its device, variant, memory and predicted seconds,
// with the loads, evictions and larger copies between them, then each device's memory over time as
// a chart of characters.  [any thread]
std::string to_table(const ExecutionPlan& plan, const Graph& graph);

// Memory over predicted time, device by device, as a self-contained SVG document.  `report_json` is
// a run's report, or empty: its measured peaks and times are drawn on top.  Throws GraphError where
// it is no report.  [any thread]
std::string to_svg(const ExecutionPlan& plan, const Graph& graph, std::string_view report_json);

}  // namespace emulsion
