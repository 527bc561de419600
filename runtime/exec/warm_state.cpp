#include "exec/warm_state.h"

#include <algorithm>

namespace emulsion {
namespace {

constexpr std::int64_t kIdleRuns = 8;  // after which a result that nobody asked for goes
constexpr Bytes kShareOfHost = 8;      // results take at most one part in so many

// Values that another node, a loop or the host asks for.
std::vector<bool> read_values(const Graph& graph) {
  std::vector<bool> is_read(graph.values.size(), false);
  const auto note = [&](const Operand& operand) {
    if (const auto* id = std::get_if<ValueId>(&operand)) is_read[index(*id)] = true;
  };
  for (const GraphNode& node : graph.nodes)
    for (const auto& [port, operand] : node.inputs) note(operand);
  for (const Loop& loop : graph.loops) {
    note(loop.count);
    for (const Carry& carry : loop.carries)
      if (carry.from) note(*carry.from);
  }
  for (const GraphOutput& output : graph.outputs) note(output.value);
  return is_read;
}

bool is_same(const WeightUse& a, const WeightUse& b) {
  return a.lasting == b.lasting && a.blocks == b.blocks && a.packed == b.packed;
}

}  // namespace

Meters WarmState::meters(const std::vector<DeviceBudget>& devices) {
  Meters meters;
  for (const DeviceBudget& device : devices) {
    std::shared_ptr<MemoryMeter>& meter = meters_[device.name];
    if (meter == nullptr) meter = std::make_shared<MemoryMeter>(device.device);
    meter->set_limit(device.capacity);
    meters.push_back(meter);
  }
  return meters;
}

Bytes WarmState::used(const std::string& device) const {
  const auto meter = meters_.find(device);
  return meter == meters_.end() ? 0 : meter->second->used();
}

void WarmState::offer_weights(const RequestSetup& setup, PlanRequest& plan) {
  plan.start.residents.clear();
  std::vector<Resident> useful;
  for (std::size_t i = 0; i < setup.components.size(); ++i) {
    const WeightUse& use = setup.forecasts.components[i].use;
    const std::string identity = identity_of(setup.components[i]);
    for (Resident& resident : residents_) {
      const auto device = std::ranges::find(plan.devices, resident.device, &DeviceBudget::name);
      if (resident.loaded.weights == nullptr || resident.identity != identity ||
          resident.dtype != setup.forecasts.dtype || !is_same(resident.use, use) ||
          device == plan.devices.end())
        continue;
      const LoadedWeights& loaded = resident.loaded;
      plan.start.residents.push_back({static_cast<ComponentId>(i),
                                      static_cast<DeviceId>(device - plan.devices.begin()),
                                      loaded.held, loaded.streamed, loaded.prefetch});
      useful.push_back(std::move(resident));
      resident.loaded = {};
    }
  }
  residents_ = std::move(useful);
}

void WarmState::give_weights(const PlanRequest& plan, RunState& state) {
  for (std::size_t i = 0; i < plan.start.residents.size(); ++i) {
    const StartingPoint::Resident& resident = plan.start.residents[i];
    state.loaded(resident.component, resident.device) = std::move(residents_[i].loaded);
  }
  residents_.clear();
}

void WarmState::take_weights(const RequestSetup& setup, const ExecutionPlan& plan,
                             RunState& state) {
  for (std::size_t device = 0; device < state.weights.size(); ++device)
    for (std::size_t i = 0; i < state.weights[device].size(); ++i) {
      LoadedWeights& loaded = state.weights[device][i];
      if (loaded.weights == nullptr) continue;
      residents_.push_back({identity_of(setup.components[i]), plan.devices[device].budget.name,
                            plan.dtype, plan.uses[i], std::move(loaded)});
      loaded = {};
    }
}

void WarmState::find_keys(const RequestSetup& setup) {
  keys_ = result_keys(setup.graph, setup.components, setup.forecasts.dtype, table_);
  is_read_ = read_values(setup.graph);
}

void WarmState::offer_results(const RequestSetup& setup, PlanRequest& plan) {
  find_keys(setup);
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (keys_[i] && results_.contains(*keys_[i]))
      plan.start.values.push_back(static_cast<ValueId>(i));
  plan.devices.back().capacity -= result_bytes();
}

void WarmState::give_results(const PlanRequest& plan, Bytes room, RunState& state) const {
  for (const ValueId id : plan.start.values)
    state.values.set(id, state.host(), results_.at(*keys_[index(id)]).value);
  state.kept.wanted.assign(keys_.size(), false);
  for (std::size_t i = 0; i < keys_.size(); ++i)
    state.kept.wanted[i] = keys_[i] && is_read_[i] && !results_.contains(*keys_[i]);
  const Bytes share = plan.devices.back().capacity / kShareOfHost - result_bytes();
  state.kept.room = std::max<Bytes>(0, std::min(room, share));
}

void WarmState::take_results(KeptResults kept) {
  ++run_;
  for (auto& [id, value] : kept.values)
    results_.insert_or_assign(*keys_[index(id)], Result{std::move(value), run_});
  for (const auto& key : keys_)
    if (key)
      if (const auto found = results_.find(*key); found != results_.end())
        found->second.last_run = run_;
  std::erase_if(results_,
                [&](const auto& entry) { return run_ - entry.second.last_run > kIdleRuns; });
}

void WarmState::forget_some() {
  if (results_.empty()) residents_.clear();
  results_.clear();
  table_ = {};
}

void WarmState::forget() {
  residents_.clear();
  forget_some();
}

Bytes WarmState::result_bytes() const {
  Bytes sum = 0;
  for (const auto& [key, result] : results_) sum += bytes_of(result.value);
  return sum;
}

}  // namespace emulsion
