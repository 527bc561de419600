#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "exec/request_setup.h"
#include "exec/result_keys.h"
#include "exec/run_state.h"

namespace emulsion {

// What runs of a session leave for the next one: weights on their devices, and results on the host.
// All of it counts within the budgets.  [one thread at a time]
class WarmState {
 public:
  // The same meter for a device of the same name; its limit is the budget.
  Meters meters(const std::vector<DeviceBudget>& devices);
  // What is on a device, of weights and results.
  Bytes used(const std::string& device) const;

  // Lets go of weights that cannot serve this run, and tells the plan of those that can.
  void offer_weights(const RequestSetup& setup, PlanRequest& plan);
  // Gives the run what offer_weights() told of.
  void give_weights(const PlanRequest& plan, RunState& state);
  // Takes over what a run has left.
  void take_weights(const RequestSetup& setup, const ExecutionPlan& plan, RunState& state);

  // Tells the plan which results are there; the host has less room for others.
  void offer_results(const RequestSetup& setup, PlanRequest& plan);
  // Gives the run the results that offer_results() told of, and asks for those that are missing.
  // `room` is what the plan leaves free on the host.
  void give_results(const PlanRequest& plan, Bytes room, RunState& state) const;
  void take_results(KeptResults results);

  Bytes result_bytes() const;
  bool is_empty() const { return residents_.empty() && results_.empty(); }
  // Lets go of the results; where there are none, of the weights.
  void forget_some();
  void forget();

 private:
  struct Resident {
    std::string identity, device;
    c10::ScalarType dtype;
    WeightUse use;
    LoadedWeights loaded;
  };
  struct Result {
    Value value;
    std::int64_t last_run = 0;
  };

  void find_keys(const RequestSetup& setup);

  std::map<std::string, std::shared_ptr<MemoryMeter>> meters_;  // by the device's name
  std::vector<Resident> residents_;  // once offered, in the order of StartingPoint::residents
  KeyTable table_;
  std::map<ResultKey, Result> results_;
  std::vector<std::optional<ResultKey>> keys_;  // by ValueId of the run that is prepared
  std::vector<bool> is_read_;                   // the same: by somebody
  std::int64_t run_ = 0;
};

}  // namespace emulsion
