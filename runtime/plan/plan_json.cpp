#include <nlohmann/json.hpp>

#include "emulsion/value.h"
#include "plan/execution_plan.h"

namespace emulsion {
namespace {

using Json = nlohmann::ordered_json;

class JsonWriter {
 public:
  JsonWriter(const ExecutionPlan& plan, const Graph& graph) : plan_(plan), graph_(graph) {}

  Json write() const {
    Json devices = Json::array();
    for (const DevicePlan& device : plan_.devices)
      devices.push_back({{"name", device.budget.name},
                         {"budget_bytes", device.budget.capacity},
                         {"planned_peak_bytes", device.peak}});
    return {{"graph", graph_.name},          {"dtype", dtype_text(plan_.dtype)},
            {"profile", plan_.profile},      {"predicted_seconds", plan_.seconds},
            {"devices", std::move(devices)}, {"steps", write_steps(plan_.steps)}};
  }

 private:
  Json write_steps(const std::vector<Step>& steps) const {
    Json list = Json::array();
    for (const Step& step : steps)
      list.push_back(std::visit([this](const auto& s) { return write_step(s); }, step));
    return list;
  }

  const std::string& device(DeviceId id) const { return plan_.device(id).name; }

  Json write_step(const LoadWeights& s) const {
    Json step{{"do", "load"},
              {"weights", graph_.component(s.component).name},
              {"from", s.from ? Json(device(*s.from)) : Json("disk")},
              {"device", device(s.device)},
              {"held_bytes", s.held},
              {"passed_bytes", s.passed},
              {"streamed_blocks", s.streamed},
              {"prefetch", s.prefetch},
              {"predicted_seconds", s.seconds}};
    if (s.changed > 0) step["changed_tensors"] = s.changed;
    return step;
  }

  Json write_step(const EvictWeights& s) const {
    return {{"do", "evict"},
            {"weights", graph_.component(s.component).name},
            {"device", device(s.device)}};
  }

  Json write_step(const CopyValue& s) const {
    return {{"do", "copy"},           {"value", graph_.value(s.value).name},
            {"from", device(s.from)}, {"device", device(s.to)},
            {"bytes", s.bytes},       {"predicted_seconds", s.seconds}};
  }

  Json write_step(const FreeValue& s) const {
    return {{"do", "free"}, {"value", graph_.value(s.value).name}, {"device", device(s.device)}};
  }

  Json write_step(const BindValues& s) const {
    Json values = Json::array();
    for (const BindValues::Pair& pair : s.pairs) {
      Json bound{{"value", graph_.value(pair.to).name}, {"device", device(pair.device)}};
      if (const auto* from = std::get_if<ValueId>(&pair.from))
        bound["to"] = graph_.value(*from).name;
      else
        std::visit([&](const auto& constant) { bound["constant"] = constant; },
                   std::get<Param>(pair.from));
      values.push_back(std::move(bound));
    }
    return {{"do", "bind"}, {"values", std::move(values)}};
  }

  Json write_step(const TrimMemory& s) const {
    return {{"do", "trim"}, {"device", device(s.device)}};
  }

  Json write_step(const RunNode& s) const {
    return {{"do", "run"},
            {"node", graph_.node(s.node).name},
            {"device", device(s.device)},
            {"variant", s.variant},
            {"weights_bytes", s.estimate.weights},
            {"outputs_bytes", s.estimate.outputs},
            {"workspace_bytes", s.estimate.workspace},
            {"memo_bytes", s.estimate.memo},
            {"streamed_bytes", s.streamed},
            {"peak_bytes", s.peak},
            {"predicted_seconds", s.seconds}};
  }

  Json write_step(const RunLoop& s) const {
    Json step{{"do", "loop"}, {"loop", graph_.loop(s.loop).name}, {"first", s.first}};
    step["iterations"] = s.iterations ? Json(*s.iterations) : Json();
    step["steps"] = write_steps(s.body);
    return step;
  }

  const ExecutionPlan& plan_;
  const Graph& graph_;
};

}  // namespace

std::string to_json(const ExecutionPlan& plan, const Graph& graph) {
  return JsonWriter(plan, graph).write().dump(2) + "\n";
}

}  // namespace emulsion
