#include "graph/validate.h"

#include "graph/draft.h"

namespace emulsion {

void take_values(Draft& draft, const std::map<std::string, Param>& values) {
  for (const GraphInput& input : draft.spec.inputs)
    draft.inputs[input.name] = {&input, input.fallback};
  for (const auto& [name, value] : values) {
    const auto found = draft.inputs.find(name);
    if (found == draft.inputs.end()) {
      draft.faults.add("/inputs", "unknown input",
                       expected_one_of(names_of(draft.spec.inputs), name));
      continue;
    }
    const GraphInput& input = *found->second.input;
    if (input.is_faulty) continue;
    try {
      found->second.value = checked_value(input, value);
      if (is_bound_to_file(input.type))
        draft.faults.add(input.path, "input '", name,
                         "': expected a node that reads the file, got ", "its name ",
                         quote(to_text(value)), "; bind the file first");
    } catch (const GraphError& error) {
      draft.faults.add(input.path, error.what());
    }
  }
}

InputState* input_at(Draft& draft, const InputRef& ref, const Asker& asker) {
  const auto found = draft.inputs.find(ref.name);
  if (found != draft.inputs.end()) return found->second.input->is_faulty ? nullptr : &found->second;
  draft.faults.add(asker.path, asker.who, ": unknown input",
                   expected_one_of(names_of(draft.spec.inputs), ref.name));
  return nullptr;
}

void report_unset(Draft& draft, InputState& state, const Asker& asker) {
  if (draft.unset == Unset::IsFine || state.reported) return;
  state.reported = true;
  draft.faults.add(state.input->path, "input '", state.input->name, "' has no value: expected ",
                   to_text(state.input->type), " for ", asker.who,
                   is_bound_to_file(state.input->type) ? "; set it to a file"
                                                       : "; set it, or give it a default");
}

Graph validate(const GraphSpec& spec, const NodeCatalog& catalog,
               const std::map<std::string, Param>& values, Unset unset) {
  Draft draft{spec, catalog, unset, Faults(spec.file, spec.faults)};
  draft.graph.name = spec.name;
  take_values(draft, values);
  take_resources(draft);
  declare(draft);
  connect(draft);
  put_in_order(draft);
  draft.faults.throw_if_any();
  return std::move(draft.graph);
}

}  // namespace emulsion
