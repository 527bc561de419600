#include "plan/forecasts.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <type_traits>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "plan/located_error.h"

namespace emulsion {
namespace {

// A value that may differ from one iteration to the next: its shape stays, a scalar is unknown.
ValueSpec without_scalar(const ValueSpec& spec) {
  const bool sized =
      std::holds_alternative<TensorSpec>(spec) || std::holds_alternative<BundleSpec>(spec);
  return sized ? spec : ValueSpec{};
}

ValueSpec spec_of_constant(const Param& constant) {
  return std::visit([](const auto& held) { return ValueSpec(held); }, constant);
}

class Forecaster {
 public:
  Forecaster(const Graph& graph, const Nodes& nodes, const std::vector<Slot>& components,
             c10::ScalarType dtype)
      : graph_(graph), nodes_(nodes), components_(components) {
    result_.dtype = dtype;
    result_.values.resize(graph.values.size());
    result_.variants.resize(graph.nodes.size());
    result_.iterations.resize(graph.loops.size());
    known_.resize(graph.values.size(), false);
    uses_.resize(components.size());
  }

  Forecasts run() {
    for (const Item& item : graph_.order) {
      if (const auto* node = std::get_if<NodeId>(&item))
        run_node(*node);
      else
        run_loop(std::get<LoopId>(item));
    }
    for (std::size_t i = 0; i < components_.size(); ++i)
      result_.components.push_back(component_of(components_[i], uses_[i]));
    return std::move(result_);
  }

 private:
  static Bytes bytes_of(const WeightSet& set, const std::vector<std::string>& names,
                        const WeightUse& use) {
    Bytes sum = 0;
    for (const std::string& name : names) {
      const Weight& weight = set.weights.find(name)->second;
      const Packing packing = use.packed.contains(name) ? weight.packing : Packing::None;
      sum += packed_spec(packing, weight.spec).bytes();
    }
    return sum;
  }

  static ComponentForecast component_of(const Slot& slot, const std::optional<WeightUse>& use) {
    ComponentForecast forecast;
    if (slot.weights == nullptr || !use) return forecast;
    forecast.use = *use;
    forecast.bytes = bytes_of(*slot.weights, use->lasting, *use);
    for (const auto& names : use->blocks) {
      forecast.blocks.push_back(bytes_of(*slot.weights, names, *use));
      forecast.bytes += forecast.blocks.back();
    }
    return forecast;
  }

  static WeightUse all_of(const WeightSet& weights) {
    WeightUse all;
    for (const auto& [name, weight] : weights.weights) all.lasting.push_back(name);
    return all;
  }

  // A node that takes its weights without a view is taken to need all of them.
  static WeightUse use_of(const ForecastContext& context, const Slot& slot,
                          const std::string& name) {
    const auto view = context.views().find(name);
    return view == context.views().end() ? all_of(*slot.weights) : view->second.use();
  }

  // Nodes that cut a component alike share its blocks; else all that they need lasts.  A branch
  // lies only where all of them run it, and a weight is packed only where all can work with it.
  static WeightUse joined(const WeightUse& a, const WeightUse& b) {
    WeightUse both;
    std::ranges::set_intersection(a.branched, b.branched,
                                  std::inserter(both.branched, both.branched.end()));
    std::ranges::set_intersection(a.packed, b.packed,
                                  std::inserter(both.packed, both.packed.end()));
    if (a.lasting == b.lasting && a.blocks == b.blocks) {
      both.lasting = a.lasting;
      both.blocks = a.blocks;
      return both;
    }
    std::set<std::string> names;
    for (const WeightUse* use : {&a, &b}) {
      names.insert(use->lasting.begin(), use->lasting.end());
      for (const auto& block : use->blocks) names.insert(block.begin(), block.end());
    }
    both.lasting.assign(names.begin(), names.end());
    return both;
  }

  void note_uses(const GraphNode& node, const ForecastContext& context) {
    for (const SlotSpec& spec : node.type->slots) {
      if (!spec.has_weights) continue;
      const std::size_t component = index(node.slots.at(spec.name));
      const WeightUse use = use_of(context, components_[component], spec.name);
      std::optional<WeightUse>& known = uses_[component];
      known = known ? joined(*known, use) : use;
    }
    for (const ComponentId id : components_of(graph_, node))
      if (graph_.component(id).beside) uses_[index(id)] = all_of(*components_[index(id)].weights);
  }

  void know(ValueId id, ValueSpec spec) {
    result_.values[index(id)] = std::move(spec);
    known_[index(id)] = true;
  }

  // Absent for a carry that the first iteration finds empty.
  std::optional<ValueSpec> spec(const Operand& operand) const {
    if (const auto* constant = std::get_if<Param>(&operand)) return spec_of_constant(*constant);
    const std::size_t id = index(std::get<ValueId>(operand));
    return known_[id] ? std::optional(result_.values[id]) : std::nullopt;
  }

  ForecastContext context(const GraphNode& node, const std::string& variant) const {
    ForecastContext::Inputs inputs;
    for (const auto& [port, operand] : node.inputs)
      if (auto known = spec(operand)) inputs.emplace(port, *std::move(known));
    return {site_of(node, components_, variant, result_.dtype), std::move(inputs)};
  }

  void run_node(NodeId id) {
    const GraphNode& node = graph_.node(id);
    std::vector<VariantForecast>& variants = result_.variants[index(id)];
    const bool again = !variants.empty();  // the second pass over a loop's body
    for (std::size_t i = 0; i < node.type->variants.size(); ++i) {
      const std::string& variant = node.type->variants[i];
      const Forecast forecast = forecast_of(id, variant);
      if (i == 0)
        for (const auto& [port, value] : node.outputs) know(value, output_of(node, forecast, port));
      if (!again)
        variants.push_back({variant, forecast.workspace, forecast.work, forecast.passes,
                            forecast.cpu_workspace, forecast.memo});
      VariantForecast& most = variants[i];
      const Bytes on_cpu = std::max(most.workspace + most.cpu_workspace,
                                    forecast.workspace + forecast.cpu_workspace);
      most.workspace = std::max(most.workspace, forecast.workspace);
      most.cpu_workspace = on_cpu - most.workspace;
      most.memo = std::max(most.memo, forecast.memo);
    }
  }

  Forecast forecast_of(NodeId id, const std::string& variant) {
    const GraphNode& node = graph_.node(id);
    try {
      const ForecastContext given = context(node, variant);
      Forecast forecast = nodes_[index(id)]->forecast(given);
      note_uses(node, given);
      return forecast;
    } catch (...) {
      rethrow_at(node.place);
    }
  }

  static ValueSpec output_of(const GraphNode& node, const Forecast& forecast,
                             const std::string& port) {
    const auto found = forecast.outputs.find(port);
    if (found == forecast.outputs.end())
      throw PluginError(str(node.place, ": node type '", node.type->id, "' forecasts no output '",
                            port, "'; its plug-in needs mending"));
    return found->second;
  }

  // The body is forecast twice: what it gives for the next iteration must have the shapes that it
  // was given, so that every iteration is alike.
  void run_loop(LoopId id) {
    const Loop& loop = graph_.loop(id);
    if (const auto count = spec(loop.count))
      if (const auto* known = std::get_if<std::int64_t>(&*count))
        result_.iterations[index(id)] = *known;
    know(loop.index, {});
    for (const Carry& carry : loop.carries)
      if (carry.from)
        if (auto given = spec(*carry.from)) know(carry.current, without_scalar(*given));
    for (const NodeId node : loop.body) run_node(node);
    for (const Carry& carry : loop.carries) check_carry(loop, carry);
    for (const NodeId node : loop.body) run_node(node);
    for (const Carry& carry : loop.carries) {
      check_carry(loop, carry);
      know(carry.last, without_scalar(result_.values[index(carry.next)]));
    }
  }

  void check_carry(const Loop& loop, const Carry& carry) {
    const ValueSpec next = without_scalar(result_.values[index(carry.next)]);
    if (!known_[index(carry.current)]) {
      know(carry.current, next);
      return;
    }
    const ValueSpec& current = result_.values[index(carry.current)];
    if (current != next)
      throw PlanError(str(loop.place, ": carry '", carry.name, "': each iteration must give what ",
                          "it got: expected ", to_text(current), ", got ", to_text(next)));
  }

  const Graph& graph_;
  const Nodes& nodes_;
  const std::vector<Slot>& components_;
  Forecasts result_;
  std::vector<bool> known_;
  std::vector<std::optional<WeightUse>> uses_;  // by ComponentId
};

}  // namespace

Nodes make_nodes(const Graph& graph) {
  Nodes nodes;
  for (const GraphNode& node : graph.nodes) {
    try {
      nodes.push_back(node.type->create(node.params));
    } catch (...) {
      rethrow_at(node.place);
    }
  }
  return nodes;
}

std::vector<bool> components_with_weights(const Graph& graph) {
  std::vector<bool> needed(graph.components.size(), false);
  for (const GraphNode& node : graph.nodes)
    for (const SlotSpec& slot : node.type->slots)
      if (slot.has_weights) needed[index(node.slots.at(slot.name))] = true;
  for (std::size_t i = 0; i < needed.size(); ++i)
    if (graph.components[i].beside) needed[i] = true;
  return needed;
}

std::vector<ComponentId> components_of(const Graph& graph, const GraphNode& node) {
  std::vector<ComponentId> components;
  const auto add = [&](ComponentId id) {
    if (std::ranges::find(components, id) == components.end()) components.push_back(id);
  };
  for (const SlotSpec& slot : node.type->slots) {
    if (!slot.has_weights) continue;
    const ComponentId id = node.slots.at(slot.name);
    add(id);
    for (std::size_t i = 0; i < graph.components.size(); ++i)
      if (graph.components[i].beside == id) add(static_cast<ComponentId>(i));
  }
  return components;
}

Site site_of(const GraphNode& node, const std::vector<Slot>& components, const std::string& variant,
             c10::ScalarType dtype) {
  Site site{.slots = {}, .variant = variant, .dtype = dtype};
  for (const SlotSpec& spec : node.type->slots) {
    Slot slot = components[index(node.slots.at(spec.name))];
    if (!spec.has_weights) slot.weights = nullptr;
    site.slots.emplace(spec.name, std::move(slot));
  }
  return site;
}

Forecasts forecast(const Graph& graph, const Nodes& nodes, const std::vector<Slot>& components,
                   c10::ScalarType dtype) {
  return Forecaster(graph, nodes, components, dtype).run();
}

}  // namespace emulsion
