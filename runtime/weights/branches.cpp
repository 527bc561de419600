#include "weights/branches.h"

#include <algorithm>
#include <ios>
#include <utility>

#include "emulsion/str.h"
#include "memory/memory_meter.h"
#include "weights/adapter.h"
#include "weights/weight_copy.h"
#include "weights/weight_source.h"

namespace emulsion {
namespace {

std::string tensor_name(const OpenComponent& branches, std::size_t i, std::string_view which) {
  return str(branches.branches[i].weight, ".", i, ".", which);
}

// Only what comes after the last blend adds to the weights as they are at the end.
std::size_t first_after_blends(const OpenComponent& component) {
  std::size_t first = component.changes.size();
  while (first > 0 && std::holds_alternative<Adaptation>(component.changes[first - 1])) --first;
  return first;
}

// The changes of one weight as branches; none where one of them is of another form.
std::vector<OpenBranch> branches_of(const OpenComponent& component, const std::string& weight) {
  const std::size_t first = first_after_blends(component);
  std::vector<OpenBranch> branches;
  for (std::size_t i = 0; i < component.changes.size(); ++i) {
    const auto* adaptation = std::get_if<Adaptation>(&component.changes[i]);
    if (adaptation == nullptr) continue;
    const auto strength = adaptation->strengths.find(weight);
    if (strength == adaptation->strengths.end()) continue;
    if (i < first) return {};
    auto branch = adaptation->adapter->parts.at(adaptation->part).at(weight).branch();
    if (!branch) return {};
    branches.push_back(
        {weight, std::move(branch->down), std::move(branch->up), branch->scale * strength->second});
  }
  return branches;
}

void leave_out(OpenComponent& component, const std::string& weight) {
  for (auto& change : component.changes)
    if (auto* adaptation = std::get_if<Adaptation>(&change)) adaptation->strengths.erase(weight);
  std::erase_if(component.changes, [](const auto& change) {
    const auto* adaptation = std::get_if<Adaptation>(&change);
    return adaptation != nullptr && adaptation->strengths.empty();
  });
}

std::string identity_of_branches(const OpenComponent& component,
                                 const std::vector<OpenBranch>& branches) {
  std::string text;
  for (const auto& change : component.changes)
    if (const auto* adaptation = std::get_if<Adaptation>(&change))
      text += str(adaptation->adapter->identity, "\n", adaptation->part, "\n");
  for (const OpenBranch& branch : branches)
    text += str(branch.weight, " ", std::hexfloat, branch.scale, std::defaultfloat, "\n");
  return text;
}

// Copies an adapter's tensors, which are few and small, to where they are to run.
class BranchSource final : public WeightSource {
 public:
  BranchSource(const OpenComponent& component, const WeightPlace& place, c10::ScalarType dtype)
      : place_(place), dtype_(dtype) {
    for (std::size_t i = 0; i < component.branches.size(); ++i) {
      tensors_.emplace(tensor_name(component, i, "down"), component.branches[i].down);
      tensors_.emplace(tensor_name(component, i, "up"), component.branches[i].up);
    }
  }

  Bundle read(const std::vector<std::string>& names, Stay, Pace) const override {
    const MeterScope scope(place_.meter, MeterScope::Reach::ThisThread);
    Bundle copies;
    for (const std::string& name : names) {
      const at::Tensor& from = tensors_.find(name)->second;
      copies.emplace(name, new_tensor({from.sizes().vec(), dtype_}, place_.device).copy_(from));
    }
    return copies;
  }

 private:
  WeightPlace place_;
  c10::ScalarType dtype_;
  Bundle tensors_;
};

}  // namespace

std::optional<DividedComponent> divided(const OpenComponent& component,
                                        const std::set<std::string, std::less<>>& branched) {
  DividedComponent result{component, {}};
  std::vector<OpenBranch>& all = result.branches.branches;
  for (const std::string& weight : branched) {
    std::vector<OpenBranch> branches = branches_of(component, weight);
    if (branches.empty()) continue;
    all.insert(all.end(), branches.begin(), branches.end());
    leave_out(result.weights, weight);
  }
  if (all.empty()) return std::nullopt;
  auto described = std::make_shared<Component>();
  described->place = str(component.component->place, " (adapters)");
  result.branches.component = std::move(described);
  result.branches.branches_identity = identity_of_branches(component, all);
  return result;
}

WeightSet branch_headers(const OpenComponent& branches, c10::ScalarType dtype) {
  WeightSet set{branches.component->place, {}};
  const auto add = [&](std::size_t i, std::string_view which, const at::Tensor& tensor) {
    set.weights.emplace(tensor_name(branches, i, which), Weight{{tensor.sizes().vec(), dtype}, {}});
  };
  for (std::size_t i = 0; i < branches.branches.size(); ++i) {
    add(i, "down", branches.branches[i].down);
    add(i, "up", branches.branches[i].up);
  }
  return set;
}

std::shared_ptr<const WeightSet> with_branches(const WeightSet& weights, const WeightSet& loaded,
                                               const OpenComponent& branches) {
  auto set = std::make_shared<WeightSet>(weights);
  for (std::size_t i = 0; i < branches.branches.size(); ++i)
    set->branches[branches.branches[i].weight].push_back(
        {loaded.weights.at(tensor_name(branches, i, "down")),
         loaded.weights.at(tensor_name(branches, i, "up")), branches.branches[i].scale});
  return set;
}

std::unique_ptr<const WeightSource> branch_source(const OpenComponent& component,
                                                  const WeightPlace& place, c10::ScalarType dtype) {
  return std::make_unique<BranchSource>(component, place, dtype);
}

}  // namespace emulsion
