#include "exec/node_call.h"

#include <ATen/ops/isnan.h>
#include <c10/core/InferenceMode.h>

#include <cmath>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "plan/located_error.h"
#include "weights/weight_store.h"

namespace emulsion {
namespace {

// An accelerator would have to stop its stream for the answer, so only host tensors are looked at.
// A sum, which needs no memory, is NaN wherever an element is.
bool has_nan(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.device().is_cpu() || !tensor.is_floating_point()) return false;
  return std::isnan(tensor.sum().item<double>()) && at::isnan(tensor).any().item<bool>();
}

bool has_nan(const Value& value) {
  if (const auto* tensor = std::get_if<at::Tensor>(&value)) return has_nan(*tensor);
  if (const auto* bundle = std::get_if<Bundle>(&value))
    for (const auto& [name, tensor] : *bundle)
      if (has_nan(tensor)) return true;
  return false;
}

[[noreturn]] void throw_nan(const GraphNode& node, const RunContext& context,
                            const std::string& port) {
  for (const SlotSpec& slot : node.type->slots) {
    if (!slot.has_weights) continue;
    const WeightSet& weights = context.weight_set(slot.name);
    const std::string name = first_nan(weights);
    if (!name.empty())
      throw WeightError(str(node.place, ": ", weights.place, ": tensor '", name,
                            "' holds NaN, so that no picture can come of it; the file is damaged: "
                            "fetch it again"));
  }
  throw RunError(str(node.place, ": output '", port,
                     "' holds NaN though every weight is finite in ", dtype_text(context.dtype()),
                     "; try --dtype f32"));
}

}  // namespace

RunContext::Values call_node(const GraphNode& node, const Node& code, RunContext& context) {
  try {
    const c10::InferenceMode inference;
    code.run(context);
    RunContext::Values outputs = context.take_outputs();
    for (const PortSpec& port : node.type->outputs)
      if (!outputs.contains(port.name))
        throw RunError(str("node type '", node.type->id, "' gave no output '", port.name, "'"));
    return outputs;
  } catch (...) {
    rethrow_at(node.place);
  }
}

void check_no_nan(const GraphNode& node, const RunContext& context,
                  const RunContext::Values& outputs) {
  const c10::InferenceMode inference;
  for (const auto& [port, value] : outputs)
    if (has_nan(value)) throw_nan(node, context, port);
}

}  // namespace emulsion
