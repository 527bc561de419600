#include <algorithm>

#include "graph/draft.h"
#include "graph/limits.h"

namespace emulsion {
namespace {

bool may_set(InputType type, const ParamSpec& spec) {
  const bool is_int_for_float =
      type == InputType::Int && std::holds_alternative<double>(spec.fallback);
  return !is_bound_to_file(type) && (is_int_for_float || kind_of(type) == spec.fallback.index());
}

// The value in the parameter's kind and range; nothing, and a fault, where it is not.
std::optional<Param> fitting(Draft& draft, const ParamSpec& spec, const Param& value,
                             const Asker& asker) {
  std::optional<Param> converted = in_kind(value, spec.fallback.index());
  if (!converted) {
    draft.faults.add(asker.path, asker.who, ": expected ", kind_text(spec.fallback), ", got ",
                     kind_text(value), " ", quote(to_text(value)));
    return std::nullopt;
  }
  const std::string why = beyond(limits(spec), *converted);
  if (why.empty()) return converted;
  draft.faults.add(asker.path, asker.who, ": ", why);
  return std::nullopt;
}

// An input may offer no choice that the parameter does not know.
bool offers_unknown_choice(Draft& draft, const ParamSpec& spec, const GraphInput& input,
                           const Asker& asker) {
  for (const std::string& choice : input.choices) {
    const std::string why = beyond(limits(spec), Param(choice));
    if (why.empty()) continue;
    draft.faults.add(asker.path, asker.who, ": a choice of input '", input.name, "': ", why);
    return true;
  }
  return false;
}

std::optional<Param> value_from_input(Draft& draft, const ParamSpec& spec, const InputRef& ref,
                                      const Asker& asker) {
  InputState* state = input_at(draft, ref, asker);
  if (state == nullptr) return std::nullopt;
  const GraphInput& input = *state->input;
  if (!may_set(input.type, spec)) {
    draft.faults.add(asker.path, asker.who, ": expected ", kind_text(spec.fallback),
                     ", got input '", input.name, "' of type ", to_text(input.type));
    return std::nullopt;
  }
  if (offers_unknown_choice(draft, spec, input, asker)) return std::nullopt;
  if (state->value) {
    const Asker via{.path = asker.path, .who = str(asker.who, " from input ", quote(ref.name))};
    return fitting(draft, spec, *state->value, via);
  }
  if (spec.optional) return std::nullopt;
  report_unset(draft, *state, asker);
  return spec.fallback;
}

std::optional<Param> value_of(Draft& draft, const ParamSpec& spec, const Entry* entry,
                              const Asker& asker) {
  if (entry == nullptr) return spec.optional ? std::nullopt : std::optional(spec.fallback);
  if (const auto* literal = std::get_if<Param>(&entry->term))
    return fitting(draft, spec, *literal, asker);
  if (const auto* ref = std::get_if<InputRef>(&entry->term))
    return value_from_input(draft, spec, *ref, asker);
  return std::nullopt;
}

const Entry* find_entry(const std::vector<Entry>& entries, const std::string& name) {
  const auto found = std::ranges::find(entries, name, &Entry::name);
  return found == entries.end() ? nullptr : &*found;
}

ComponentId component_at(Draft& draft, const std::string& part, ResourceId resource) {
  const std::string name = str(draft.graph.resource(resource).name, ".", part);
  std::vector<ComponentRef>& components = draft.graph.components;
  auto found = std::ranges::find(components, name, &ComponentRef::name);
  if (found == components.end()) found = components.insert(found, {name, resource, part});
  return ComponentId(static_cast<std::uint32_t>(found - components.begin()));
}

void set_slot(Draft& draft, const SlotSpec& slot, const Entry& entry, GraphNode& node) {
  const auto* part = std::get_if<WireRef>(&entry.term);
  if (part == nullptr) return;  // reported by the parser
  const auto resource = draft.resources.find(part->owner);
  if (resource == draft.resources.end())
    draft.faults.add(entry.path, who_is(node), ", slot '", slot.name, "': unknown resource",
                     expected_one_of(names_of(draft.spec.resources), part->owner));
  else
    node.slots[slot.name] = component_at(draft, part->member, resource->second);
}

}  // namespace

void set_params(Draft& draft, const NodeSpec& spec, GraphNode& node) {
  const std::vector<ParamSpec>& known = node.type->params;
  for (const Entry& entry : spec.params) {
    if (find_param(known, entry.name) != nullptr) continue;
    const bool is_port = find_port(node.type->inputs, entry.name) != nullptr;
    draft.faults.add(entry.path, who_is(node), ": unknown parameter of ", node.type->id,
                     expected_one_of(names_of(known), entry.name),
                     is_port ? "; it is an input, connect it under 'in'" : "");
  }
  std::map<std::string, Param, std::less<>> values;
  for (const ParamSpec& param : known) {
    const Entry* entry = find_entry(spec.params, param.name);
    const Asker asker{.path = entry == nullptr ? spec.path : entry->path,
                      .who = str(who_is(node), ", parameter '", param.name, "'")};
    if (const auto value = value_of(draft, param, entry, asker)) values[param.name] = *value;
  }
  node.params = Params(std::move(values));
}

void set_slots(Draft& draft, const NodeSpec& spec, GraphNode& node) {
  const std::vector<SlotSpec>& known = node.type->slots;
  for (const Entry& entry : spec.use)
    if (std::ranges::find(known, entry.name, &SlotSpec::name) == known.end())
      draft.faults.add(entry.path, who_is(node), ": unknown slot of ", node.type->id,
                       expected_one_of(names_of(known), entry.name));
  for (const SlotSpec& slot : known) {
    if (const Entry* entry = find_entry(spec.use, slot.name))
      set_slot(draft, slot, *entry, node);
    else
      draft.faults.add(
          spec.path + "/use/" + slot.name, who_is(node), ", slot '", slot.name,
          "' is not bound: expected \"resource.part\", got nothing; add it under 'use'");
  }
}

}  // namespace emulsion
