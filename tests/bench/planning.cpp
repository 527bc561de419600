#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/request_setup.h"
#include "plan/execution_plan.h"
#include "plugins/plugin_registry.h"

// Times the planner on the largest shipped graph, the one of SDXL with its refiner, for
// accelerators of many sizes.  One line for each: its size, seconds of the median of five.
namespace emulsion {
namespace {

constexpr double kMostSeconds = 0.05;

double seconds_to_plan(const RequestSetup& setup) {
  std::array<double, 5> seconds{};
  for (double& one : seconds) {
    const auto begin = std::chrono::steady_clock::now();
    make_plan(setup.graph, setup.forecasts, setup.plan);
    one = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

bool time_all(const std::string& nodes, const std::string& base, const std::string& refiner) {
  PluginRegistry registry;
  for (const auto& folder : plugin_folders({nodes})) registry.add_folder(folder);
  bool all_hold = true;
  for (const char* size : {"24GiB", "16GiB", "12GiB", "10GiB", "8GiB", "6GiB", "4GiB", "3GiB",
                           "2GiB", "1GiB", "0.5GiB"}) {
    const Request request{.graph = "sdxl_base_refiner",
                          .values = {{"model", base}, {"refiner", refiner}},
                          .devices = {str("sim:gpu=", size), "cpu=32GiB"}};
    const BoundGraph bound = bind_graph(request, registry.catalog());
    const double seconds = seconds_to_plan(set_up(request, bound, c10::ScalarType::Half, {}));
    const bool holds = seconds <= kMostSeconds;
    std::printf("%-7s %.4f s%s\n", size, seconds, holds ? "" : "  OVER");
    all_hold = all_hold && holds;
  }
  return all_hold;
}

}  // namespace
}  // namespace emulsion

// Folders of the nodes, of SDXL and of its refiner; configs and headers of full size are enough.
int main(int count, char** arguments) {
  if (count != 4) {
    std::fputs("usage: planning NODES MODEL REFINER\n", stderr);
    return 2;
  }
  try {
    return emulsion::time_all(arguments[1], arguments[2], arguments[3]) ? 0 : 1;
  } catch (const emulsion::Error& error) {
    std::fprintf(stderr, "planning: %s\n", error.what());
    return 1;
  }
}
