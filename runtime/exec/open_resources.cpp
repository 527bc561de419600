#include "exec/open_resources.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "exec/model_location.h"
#include "exec/shipped_files.h"
#include "hub/hub_selection.h"
#include "weights/adapter.h"
#include "weights/model_report.h"
#include "weights/safetensors.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 3> kAdapted = {"unet", "text_encoder", "text_encoder_2"};
constexpr std::string_view kPackedPart = "unet";  // where nearly all of a model's bytes are

fs::path place_of(const std::string& part, const std::string& source) {
  const fs::path place = locate_file(part, source);
  return is_part_folder(place) ? place : locate_model(source);
}

OpenComponent open_part(const std::string& model, const std::string& part) {
  return open_component(locate_model(model), part, share_folders("tokenizer"));
}

fs::path adapter_file(const std::string& source) {
  refuse_pickle("adapter", source);
  const fs::path place = locate_file("adapter", source);
  std::error_code unreadable;
  if (fs::is_regular_file(place, unreadable)) return place;
  for (const char* name : kAdapterFiles)
    if (fs::is_regular_file(place / name, unreadable)) return place / name;
  throw WeightError(str("adapter '", source,
                        "': no such file; give a .safetensors file, a folder with ",
                        kAdapterFiles[0], " or ", kAdapterFiles[1], ", or a hub id (owner/name)"));
}

std::map<std::string, TensorSpec> tensors_of(const OpenComponent& component) {
  std::map<std::string, TensorSpec> tensors;
  for (const auto& file : component.files)
    for (const auto& [name, stored] : file->tensors()) tensors.emplace(name, stored.spec);
  return tensors;
}

// "'conv_in.weight' is [32, 4, 3, 3] in one and [32, 9, 3, 3] in the other", or empty.
std::string disagreement(const OpenComponent& a, const OpenComponent& b) {
  const auto ours = tensors_of(a), theirs = tensors_of(b);
  const auto text = [](const auto& tensors, const std::string& name) {
    const auto found = tensors.find(name);
    return found == tensors.end() ? std::string("missing") : shape_text(found->second.shape);
  };
  for (const auto* tensors : {&ours, &theirs})
    for (const auto& [name, spec] : *tensors)
      if (c10::isFloatingType(spec.dtype) && text(ours, name) != text(theirs, name))
        return str("'", name, "' is ", text(ours, name), " in one and ", text(theirs, name),
                   " in the other");
  return {};
}

// The factor of the longest start that fits a weight's name, with its part before it or without.
class BlockFactors {
 public:
  explicit BlockFactors(const std::map<std::string, double>& blocks) : blocks_(blocks) {}

  double of(const std::string& part, const std::string& weight) {
    double factor = 1;
    std::size_t longest = 0;
    const std::string full = str(part, ".", weight);
    for (const auto& [start, value] : blocks_) {
      const bool with_part = begins(full, start);
      if (!with_part && !begins(weight, start)) continue;
      used_.insert(start);
      const std::size_t length = start.size() + (with_part ? 0 : part.size() + 1);
      if (length <= longest) continue;
      longest = length;
      factor = value;
    }
    return factor;
  }

  // Of those that no weight begins with.
  std::optional<std::string> unused() const {
    for (const auto& [start, value] : blocks_)
      if (!used_.contains(start)) return start;
    return std::nullopt;
  }

 private:
  static bool begins(const std::string& name, const std::string& start) {
    return name.starts_with(start) && (name.size() == start.size() || name[start.size()] == '.');
  }

  const std::map<std::string, double>& blocks_;
  std::set<std::string> used_;
};

class ResourceOpener {
 public:
  explicit ResourceOpener(const Graph& graph) : graph_(graph) {}

  OpenResources open_all() {
    for (const ComponentRef& ref : graph_.components) {
      const Resource& resource = graph_.resource(ref.resource);
      result_.components.push_back(open(resource, ref.part));
    }
    return std::move(result_);
  }

 private:
  const OpenComponent& open(const Resource& resource, const std::string& part) {
    const auto key = std::pair(resource.name, part);
    const auto known = opened_.find(key);
    if (known != opened_.end()) return known->second;
    OpenComponent made =
        std::visit([&](const auto& how) { return made_by(how, resource, part); }, resource.made);
    return opened_.emplace(key, std::move(made)).first->second;
  }

  OpenComponent made_by(const Resource::Checkpoint& checkpoint, const Resource&,
                        const std::string& part) {
    const auto other = checkpoint.parts.find(part);
    OpenComponent made = open_part(checkpoint.source, part);
    if (other != checkpoint.parts.end())
      made = open_replacement(place_of(part, other->second), part, made.component->config);
    if (part == kPackedPart && checkpoint.weight_dtype == "int8") made.packing = Packing::Int8;
    return made;
  }

  // Configs, tokenizers and whatever else is no tensor are a's.
  OpenComponent made_by(const Resource::Merge& merge, const Resource& resource,
                        const std::string& part) {
    OpenComponent made = open(graph_.resource(merge.a), part);
    if (made.files.empty()) return made;
    const OpenComponent& other = open(graph_.resource(merge.b), part);
    if (const std::string fault = disagreement(made, other); !fault.empty())
      throw WeightError(str(resource.place, ": ", made.component->place, " and ",
                            other.component->place,
                            " cannot be merged: expected the same tensors, ", fault,
                            "; merge models of one architecture"));
    const auto own = merge.ratios.find(part);
    const double ratio = own == merge.ratios.end() ? merge.ratio : own->second;
    if (ratio != 0) made.changes.push_back(Blend{std::make_shared<OpenComponent>(other), ratio});
    return made;
  }

  OpenComponent made_by(const Resource::Lora& lora, const Resource& resource,
                        const std::string& part) {
    OpenComponent made = open(graph_.resource(lora.base), part);
    if (made.files.empty()) return made;
    for (const LoraUse& use : uses_of(lora, resource)) {
      const auto strengths = use.strengths.find(part);
      if (strengths != use.strengths.end() && !strengths->second.empty())
        made.changes.push_back(Adaptation{use.adapter, part, strengths->second});
    }
    return made;
  }

  using Strengths = std::map<std::string, double, std::less<>>;  // by weight, without zeros
  struct LoraUse {
    std::shared_ptr<const Adapter> adapter;
    std::map<std::string, Strengths> strengths;  // by part
  };

  const std::vector<LoraUse>& uses_of(const Resource::Lora& lora, const Resource& resource) {
    const auto known = loras_.find(resource.name);
    if (known != loras_.end()) return known->second;
    const PartTensors base = tensors_of(graph_.resource(lora.base));
    BlockFactors factors(lora.blocks);
    std::vector<LoraUse> uses;
    for (const AdapterRef& ref : lora.adapters) {
      auto adapter = std::make_shared<const Adapter>(read_adapter(adapter_file(ref.source), base));
      result_.adapters.push_back({ref.source, resource.name, ref.strength, adapter});
      uses.push_back({adapter, strengths_of(*adapter, ref.strength, factors)});
    }
    for (const auto& [part, tensors] : base)
      for (const auto& [name, spec] : tensors) factors.of(part, name);
    if (const auto unused = factors.unused())
      throw WeightError(str(resource.place, ": blocks: no weight of the model begins with '",
                            *unused,
                            "'; expected the start of a name up to a dot, such as "
                            "'unet.down_blocks.0'"));
    return loras_.emplace(resource.name, std::move(uses)).first->second;
  }

  static std::map<std::string, Strengths> strengths_of(const Adapter& adapter, double strength,
                                                       BlockFactors& factors) {
    std::map<std::string, Strengths> strengths;
    for (const auto& [part, changes] : adapter.parts)
      for (const auto& [weight, change] : changes)
        if (const double product = strength * factors.of(part, weight); product != 0)
          strengths[part].emplace(weight, product);
    return strengths;
  }

  // Of all parts that the model has and adapters may change.
  PartTensors tensors_of(const Resource& resource) {
    PartTensors tensors;
    for (const std::string& part : parts_of(resource))
      tensors.emplace(part, emulsion::tensors_of(open(resource, part)));
    return tensors;
  }

  std::vector<std::string> parts_of(const Resource& resource) {
    if (const auto* lora = std::get_if<Resource::Lora>(&resource.made))
      return parts_of(graph_.resource(lora->base));
    if (const auto* merge = std::get_if<Resource::Merge>(&resource.made))
      return parts_of(graph_.resource(merge->a));
    const auto& checkpoint = std::get<Resource::Checkpoint>(resource.made);
    const ModelReport report = report_of(locate_model(checkpoint.source));
    std::vector<std::string> parts;
    for (const std::string_view part : kAdapted)
      if (report.parts.contains(std::string(part)) || checkpoint.parts.contains(std::string(part)))
        parts.emplace_back(part);
    return parts;
  }

  const Graph& graph_;
  OpenResources result_;
  std::map<std::pair<std::string, std::string>, OpenComponent> opened_;  // by resource and part
  std::map<std::string, std::vector<LoraUse>> loras_;                    // by resource
};

}  // namespace

OpenResources open_resources(const Graph& graph) { return ResourceOpener(graph).open_all(); }

}  // namespace emulsion
