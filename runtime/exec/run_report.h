#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "emulsion/memory.h"
#include "exec/operator_profile.h"

namespace emulsion {

// What a run did, and what it took.  Bytes are read from the allocators, seconds from the clock.
struct RunReport {
  struct Device {
    std::string name;
    Bytes budget = 0, planned_peak = 0, measured_peak = 0;
  };
  struct Step {  // a node; the iterations of a loop are added up, their peaks are the highest
    std::string node, device, variant;
    std::int64_t iterations = 0;
    double seconds = 0, predicted_seconds = 0;
    Bytes estimated_peak = 0, measured_peak = 0;
    std::vector<std::string> notes;        // lines that the node told
    std::vector<OperatorTimes> operators;  // of runs on the CPU
  };
  struct Transfer {
    std::string what, from, to;
    Bytes bytes = 0;
    double seconds = 0, predicted_seconds = 0;
  };
  struct Span {  // one run of a node, one load, one copy, or an iteration, which has no device
    std::string device, what;
    double begin = 0, end = 0;  // seconds since the run began
    Bytes peak = 0;             // of the device meanwhile
  };

  struct Adapter {
    std::string file, resource;  // and the graph's resource that applies it
    double strength = 1;
    std::vector<std::string> unmatched;  // tensors that belong to nothing in the model
  };

  std::string graph, dtype, profile;
  double seconds = 0;
  double predicted_seconds = 0;  // by the first plan
  std::vector<Device> devices;
  std::vector<Step> steps;
  std::vector<Transfer>
      transfers;  // loads of weights ("disk" is their source) and copies of values
  std::vector<std::string> evictions;
  std::vector<Adapter> adapters;
  std::vector<Span> trace;              // in the order of their ends
  std::vector<std::string> replans;     // why and within what the rest was planned again
  double denoise_seconds_per_step = 0;  // the longest loop's median, its warm-up iteration aside
  double load_seconds = 0;
  // From the start of the process to the first loop, and to the end of its first iteration.
  double ready_seconds = 0, first_step_seconds = 0;
};

// The contract of `emulsion run --report`.
std::string to_json(const RunReport& report);

// Seconds since this process started, also before main().  0 where the system does not tell.
double process_seconds();

}  // namespace emulsion
