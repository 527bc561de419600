#include "weights/changed_tensor.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "weights/adapter.h"
#include "weights/read_elements.h"
#include "weights/safetensors.h"
#include "weights/weight_copy.h"

namespace emulsion {
namespace {

// What the adapter changes in the tensor; null where that is nothing.
const WeightChange* find_change(const Adaptation& adaptation, const std::string& name) {
  if (!adaptation.strengths.contains(name)) return nullptr;
  return &adaptation.adapter->parts.at(adaptation.part).at(name);
}

at::Tensor as_stored(const TensorFile& file, const StoredTensor& stored, Pace pace) {
  const at::Tensor whole = at::empty(stored.spec.shape, at::dtype(at::kFloat));
  fill_all(
      {{whole, [&](std::int64_t start,
                   const at::Tensor& into) { read_elements(file, stored, start, into, nullptr); }}},
      pace);
  return whole;
}

class TensorChanger {
 public:
  TensorChanger(std::string name, Pace pace) : name_(std::move(name)), pace_(pace) {}

  void operator()(const Blend& blend) {
    tensor.mul_(1 - blend.ratio).add_(changed_tensor(*blend.other, name_, pace_), blend.ratio);
  }
  void operator()(const Adaptation& adaptation) {
    if (const WeightChange* change = find_change(adaptation, name_))
      tensor = change->applied(tensor, adaptation.strengths.find(name_)->second);
  }

  at::Tensor tensor;

 private:
  std::string name_;
  Pace pace_;
};

class CostCounter {
 public:
  CostCounter(std::string name, const TensorSpec& spec) : name_(std::move(name)), spec_(spec) {}

  void operator()(const Blend& blend) {
    const HostCost other = change_cost(*blend.other, name_);
    cost.work += other.work;
    add(other.peak, 0);
  }
  void operator()(const Adaptation& adaptation) {
    const WeightChange* change = find_change(adaptation, name_);
    if (change == nullptr) return;
    const auto branch = change->branch();
    const double rank = branch ? static_cast<double>(branch->down.size(0)) : 0;
    add(change->workspace(spec_), 2 * rank * static_cast<double>(spec_.count()));
  }

  HostCost cost;

 private:
  // Whatever is allocated is written and read.
  void add(Bytes workspace, double operations) {
    cost.peak = std::max(cost.peak, workspace);
    cost.work.product += operations;
    cost.work.traffic += static_cast<double>(2 * (workspace + spec_.bytes()));
  }

  std::string name_;
  TensorSpec spec_;
};

}  // namespace

const StoredTensor* find_stored(const OpenComponent& component, std::string_view name) {
  for (const auto& file : component.files)
    if (const auto found = file->tensors().find(name); found != file->tensors().end())
      return &found->second;
  return nullptr;
}

bool is_changed(const OpenComponent& component, const std::string& name) {
  if (component.changes.empty()) return false;
  const StoredTensor* stored = find_stored(component, name);
  if (stored == nullptr || !c10::isFloatingType(stored->spec.dtype)) return false;
  return std::ranges::any_of(component.changes, [&](const auto& change) {
    const auto* adaptation = std::get_if<Adaptation>(&change);
    return adaptation == nullptr || adaptation->strengths.contains(name);
  });
}

at::Tensor changed_tensor(const OpenComponent& component, const std::string& name, Pace pace) {
  TensorChanger change(name, pace);
  for (const auto& file : component.files)
    if (const auto found = file->tensors().find(name); found != file->tensors().end())
      change.tensor = as_stored(*file, found->second, pace);
  for (const auto& next : component.changes) std::visit(change, next);
  return change.tensor;
}

HostCost change_cost(const OpenComponent& component, const std::string& name) {
  const TensorSpec spec{find_stored(component, name)->spec.shape, at::kFloat};
  CostCounter counter(name, spec);
  counter.cost.work.traffic = static_cast<double>(2 * spec.bytes());
  for (const auto& change : component.changes) std::visit(counter, change);
  counter.cost.peak += spec.bytes();
  return counter.cost;
}

}  // namespace emulsion
