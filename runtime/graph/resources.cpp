#include <algorithm>

#include "graph/adapter_list.h"
#include "graph/draft.h"
#include "graph/resource_types.h"

namespace emulsion {
namespace {

// What a resource may take from an input, for messages and for the check of its type.
struct Wanted {
  std::string_view what;  // "a model"
  std::vector<InputType> types;
};

const Wanted kModel{"a model", {InputType::Model}};
const Wanted kPart{"a model or a file", {InputType::Model, InputType::File}};
const Wanted kAdapters{"adapter files", {InputType::Text, InputType::File, InputType::Model}};
const Wanted kWeightDtype{"a weight dtype", {InputType::Choice, InputType::Text}};
const Wanted kNumber{"a number", {InputType::Float, InputType::Int}};

const Entry* find_value(const ResourceSpec& spec, std::string_view name) {
  const auto found = std::ranges::find(spec.values, name, &Entry::name);
  return found == spec.values.end() ? nullptr : &*found;
}

std::string types_text(const Wanted& wanted) {
  std::string text;
  for (const InputType type : wanted.types) text += str(text.empty() ? "" : " or ", to_text(type));
  return text;
}

// Makes the resources of a document, each one after those that it is made from.
class ResourceMaker {
 public:
  explicit ResourceMaker(Draft& draft) : draft_(draft) {}

  void make_all() {
    for (const ResourceSpec& spec : draft_.spec.resources) make(spec);
  }

 private:
  ResourceId make(const ResourceSpec& spec) {
    const auto known = draft_.resources.find(spec.name);
    if (known != draft_.resources.end()) return known->second;
    under_way_.push_back(spec.name);
    const std::optional<ResourceId> passed_on = made_by(spec);
    under_way_.pop_back();
    return draft_.resources[spec.name] = passed_on ? *passed_on : add(spec, Resource::Checkpoint{});
  }

  ResourceId add(const ResourceSpec& spec,
                 std::variant<Resource::Checkpoint, Resource::Merge, Resource::Lora> made) {
    std::vector<Resource>& all = draft_.graph.resources;
    all.push_back({spec.name, str(draft_.spec.file, ": ", who(spec)), std::move(made)});
    return static_cast<ResourceId>(all.size() - 1);
  }

  // Nothing where the type is faulty.
  std::optional<ResourceId> made_by(const ResourceSpec& spec) {
    if (spec.type == "checkpoint") return checkpoint(spec);
    if (spec.type == "merge") return merge(spec);
    if (spec.type == "lora") return lora(spec);
    if (!spec.type.empty())
      draft_.faults.add(spec.path + "/type", who(spec), ": unknown type",
                        expected_one_of(names_of(resource_types()), spec.type));
    return std::nullopt;
  }

  ResourceId checkpoint(const ResourceSpec& spec) {
    Resource::Checkpoint made;
    made.source = text(spec, "source", kModel).value_or("");
    for (const Entry& part : spec.table)
      if (auto source = text_of(part, asker(spec, part, true), kPart))
        made.parts.emplace(part.name, *std::move(source));
    if (const Entry* dtype = find_value(spec, "weight_dtype"))
      made.weight_dtype = weight_dtype(*dtype, asker(spec, *dtype, true));
    return add(spec, std::move(made));
  }

  std::optional<ResourceId> merge(const ResourceSpec& spec) {
    const std::optional<ResourceId> a = other(spec, "a"), b = other(spec, "b");
    Resource::Merge made;
    if (const Entry* ratio = find_value(spec, "ratio"))
      made.ratio = number_of(*ratio, asker(spec, *ratio)).value_or(0);
    for (const Entry& ratio : spec.table)
      if (const auto number = number_of(ratio, asker(spec, ratio, true)))
        made.ratios.emplace(ratio.name, *number);
    if (!a || !b) return std::nullopt;
    made.a = *a;
    made.b = *b;
    return add(spec, std::move(made));
  }

  // Without adapters it is its base.
  std::optional<ResourceId> lora(const ResourceSpec& spec) {
    const std::optional<ResourceId> base = other(spec, "base");
    double strength = 1;
    if (const Entry* entry = find_value(spec, "strength"))
      strength = number_of(*entry, asker(spec, *entry, true)).value_or(1);
    Resource::Lora made;
    if (const Entry* source = find_value(spec, "source"))
      if (const auto list = text_of(*source, asker(spec, *source, true), kAdapters))
        made.adapters = adapters_in(*list, strength);
    for (const Entry& block : spec.table)
      if (const auto factor = number_of(block, asker(spec, block, true)))
        made.blocks.emplace(block.name, *factor);
    if (!base || made.adapters.empty()) return base;
    made.base = *base;
    return add(spec, std::move(made));
  }

  // The resource that another one is made from.
  std::optional<ResourceId> other(const ResourceSpec& spec, std::string_view key) {
    const Entry* entry = find_value(spec, key);
    const auto* literal = entry == nullptr ? nullptr : std::get_if<Param>(&entry->term);
    const auto* name = literal == nullptr ? nullptr : std::get_if<std::string>(literal);
    if (name == nullptr) {
      if (entry != nullptr && !std::holds_alternative<std::monostate>(entry->term))
        draft_.faults.add(entry->path, who(spec), ": expected the name of a resource, got ",
                          literal == nullptr ? "an input" : to_text(*literal));
      return std::nullopt;
    }
    const auto found = std::ranges::find(draft_.spec.resources, *name, &ResourceSpec::name);
    if (found == draft_.spec.resources.end()) {
      draft_.faults.add(entry->path, who(spec), ": unknown resource",
                        expected_one_of(names_of(draft_.spec.resources), *name));
      return std::nullopt;
    }
    const auto circle = std::ranges::find(under_way_, *name);
    if (circle == under_way_.end()) return make(*found);
    const std::vector<std::string> names(circle, under_way_.end());
    draft_.faults.add(entry->path, who(spec), ": is made from itself: ", joined(names, " <- "),
                      " <- ", *name, "; name another resource");
    return std::nullopt;
  }

  std::optional<std::string> text(const ResourceSpec& spec, std::string_view key,
                                  const Wanted& wanted) {
    const Entry* entry = find_value(spec, key);
    return entry == nullptr ? std::nullopt : text_of(*entry, asker(spec, *entry), wanted);
  }

  // Nothing where it is unset or faulty.
  std::optional<std::string> text_of(const Entry& entry, const Asker& asker, const Wanted& wanted) {
    const std::optional<Param> value = value_of(entry, asker, wanted);
    if (!value) return std::nullopt;
    if (const auto* text = std::get_if<std::string>(&*value)) return *text;
    refuse(asker, wanted, *value);
    return std::nullopt;
  }

  std::string weight_dtype(const Entry& entry, const Asker& asker) {
    const std::vector<std::string> known = {"default", "int8"};
    std::string name = text_of(entry, asker, kWeightDtype).value_or(known.front());
    if (std::ranges::find(known, name) == known.end())
      draft_.faults.add(asker.path, asker.who, ": unknown weight_dtype",
                        expected_one_of(known, name));
    return name;
  }

  std::optional<double> number_of(const Entry& entry, const Asker& asker) {
    const std::optional<Param> value = value_of(entry, asker, kNumber);
    if (!value) return std::nullopt;
    if (const auto* real = std::get_if<double>(&*value)) return *real;
    if (const auto* whole = std::get_if<std::int64_t>(&*value)) return static_cast<double>(*whole);
    refuse(asker, kNumber, *value);
    return std::nullopt;
  }

  void refuse(const Asker& asker, const Wanted& wanted, const Param& got) {
    draft_.faults.add(asker.path, asker.who, ": expected ", wanted.what, ", got ", kind_text(got),
                      " ", to_text(got));
  }

  std::optional<Param> value_of(const Entry& entry, const Asker& asker, const Wanted& wanted) {
    if (const auto* literal = std::get_if<Param>(&entry.term)) return *literal;
    const auto* ref = std::get_if<InputRef>(&entry.term);
    if (ref == nullptr) return std::nullopt;
    InputState* state = input_at(draft_, *ref, asker);
    if (state == nullptr) return std::nullopt;
    if (std::ranges::find(wanted.types, state->input->type) == wanted.types.end()) {
      draft_.faults.add(asker.path, asker.who, ": expected an input of type ", types_text(wanted),
                        ", got input ", quote(ref->name), " of type ", to_text(state->input->type));
      return std::nullopt;
    }
    if (!state->value && !asker.optional) report_unset(draft_, *state, asker);
    return state->value;
  }

  static std::string who(const ResourceSpec& spec) { return str("resource '", spec.name, "'"); }

  static Asker asker(const ResourceSpec& spec, const Entry& entry, bool optional = false) {
    return {.path = entry.path, .who = who(spec), .optional = optional};
  }

  Draft& draft_;
  std::vector<std::string> under_way_;  // names, each made from the next one
};

}  // namespace

void take_resources(Draft& draft) { ResourceMaker(draft).make_all(); }

}  // namespace emulsion
