#include "weights/weight_store.h"

#include <ATen/core/Tensor.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <functional>
#include <ios>
#include <set>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/adapter.h"
#include "weights/branches.h"
#include "weights/changed_tensor.h"
#include "weights/safetensors.h"
#include "weights/weight_dtype.h"
#include "weights/weight_packing.h"
#include "weights/weight_source.h"
#include "weights/weight_stream.h"

namespace emulsion {
namespace {

WeightSet headers(const OpenComponent& component, c10::ScalarType dtype) {
  if (!component.branches.empty()) return branch_headers(component, dtype);
  const Component& found = *component.component;
  if (component.files.empty()) {
    std::string names;
    for (const auto& [name, path] : found.files) names += str(names.empty() ? "" : ", ", name);
    throw WeightError(str(found.place, ": no weights: expected a .safetensors file, got ",
                          names.empty() ? "nothing" : names,
                          "; fetch or convert the model in safetensors format"));
  }
  WeightSet set{found.place, {}};
  for (const auto& file : component.files)
    for (const auto& [name, stored] : file->tensors()) {
      const bool floating = c10::isFloatingType(stored.spec.dtype);
      set.weights.emplace(name, Weight{{stored.spec.shape, floating ? dtype : stored.spec.dtype},
                                       at::Tensor(),
                                       packing_of(component, name, stored)});
    }
  return set;
}

void expect_known(const WeightSet& set, const std::vector<std::string>& names) {
  for (const std::string& name : names)
    if (!set.weights.contains(name))
      throw WeightError(str(set.place, ": no tensor '", name, "' to load"));
}

// Without the tensors that are there all the time.
std::vector<std::vector<std::string>> passing_blocks(const WeightSelection& selection) {
  const std::set<std::string_view> lasting(selection.lasting.begin(), selection.lasting.end());
  std::vector<std::vector<std::string>> blocks = selection.blocks;
  for (auto& block : blocks)
    std::erase_if(block, [&](const std::string& name) { return lasting.contains(name); });
  std::erase_if(blocks, [](const auto& block) { return block.empty(); });
  return blocks;
}

// `set` has names and specs; what the source gives becomes its data.
std::shared_ptr<const WeightSet> filled(WeightSet set, std::unique_ptr<const WeightSource> source,
                                        const WeightSelection& selection,
                                        const WeightPlace& place) {
  const c10::InferenceMode no_autograd;
  expect_known(set, selection.lasting);
  for (const auto& block : selection.blocks) expect_known(set, block);
  const std::string what = str(set.place, ": weights on ", place.device.str());
  Bundle tensors =
      read_or_explain(*source, what, selection.lasting, Stay::Lasting, Pace::AllThreads);
  for (auto& [name, tensor] : tensors) set.weights.find(name)->second.data = std::move(tensor);
  if (tensors.size() < set.weights.size()) {
    auto blocks = passing_blocks(selection);
    if (blocks.empty()) source = nullptr;  // no need to keep it: the stream has only faults to tell
    set.stream = std::make_shared<BlockStream>(set.place, std::move(source), std::move(blocks),
                                               place.device, selection.prefetch);
  }
  return std::make_shared<const WeightSet>(std::move(set));
}

std::string exact(double number) { return str(std::hexfloat, number); }

std::string identity_of(const Blend& blend) {
  return str("\nblend ", exact(blend.ratio), " of (", emulsion::identity_of(*blend.other), ")");
}

std::string identity_of(const Adaptation& adaptation) {
  std::string strengths;
  for (const auto& [weight, strength] : adaptation.strengths)
    strengths += str(weight, " ", exact(strength), "\n");
  return str("\n", adaptation.adapter->identity, "\n", adaptation.part, "\n", strengths);
}

bool is_mappable(const StoredTensor& stored, c10::ScalarType dtype) {
  return !stored.transposed && stored.packing == Packing::None &&
         (!c10::isFloatingType(stored.spec.dtype) || stored.spec.dtype == dtype) &&
         stored.begin % c10::elementSize(stored.spec.dtype) == 0;
}

void add(const HostCost& one, ReadCost& cost) {
  cost.changing = std::max(cost.changing, one.peak);
  cost.changes += one.work;
}

}  // namespace

std::string identity_of(const OpenComponent& component) {
  const Component& found = *component.component;
  std::string text = str(found.place, "\nconfig of ", found.config.size(), " bytes, hash ",
                         std::hash<std::string>{}(found.config));
  std::set<std::filesystem::path> opened;
  for (const auto& file : component.files) {
    opened.insert(file->path());
    text += str("\n", file->identity().text);
  }
  for (const auto& [name, path] : found.files)
    if (!opened.contains(path)) text += str("\n", identity_of(path).text);
  for (const auto& change : component.changes)
    text += std::visit([](const auto& made) { return identity_of(made); }, change);
  if (component.packing != Packing::None) text += str("\n", to_text(component.packing));
  return text + component.branches_identity;
}

std::shared_ptr<const WeightSet> header_of(const OpenComponent& component, c10::ScalarType dtype) {
  WeightSet set = headers(component, weight_dtype(*component.component, dtype));
  set.header_only = true;
  return std::make_shared<const WeightSet>(std::move(set));
}

ReadCost read_cost(const OpenComponent& component, const std::vector<std::string>& names,
                   c10::ScalarType dtype, const WeightNames& packed) {
  const c10::ScalarType held = weight_dtype(*component.component, dtype);
  ReadCost cost;
  if (!component.branches.empty()) return cost;  // copies of tensors that are there
  bool all_mapped = true;
  for (const std::string& name : names) {
    const StoredTensor& stored = *find_stored(component, name);
    const Packing packing =
        packed.contains(name) ? packing_of(component, name, stored) : Packing::None;
    const bool changes = is_changed(component, name), is_packed = packing != Packing::None;
    if (changes) {
      add(change_cost(component, name), cost);
      ++cost.changed;
    }
    if (is_packed_anew(packing, stored)) add(pack_cost(stored.spec), cost);
    if (!changes && (is_packed ? packing == stored.packing : is_mappable(stored, held)))
      cost.mapped += stored.bytes();
    else
      all_mapped = false;
  }
  cost.staging = cost.changing + (all_mapped ? 0 : kStagingBytes);
  return cost;
}

WeightSelection all_of(const OpenComponent& component) {
  WeightSelection selection;
  if (!component.branches.empty())
    for (const auto& [name, weight] : branch_headers(component, c10::ScalarType::Float).weights)
      selection.lasting.push_back(name);
  for (const auto& file : component.files)
    for (const auto& named : file->tensors()) selection.lasting.push_back(named.first);
  return selection;
}

std::shared_ptr<const WeightSet> load(const OpenComponent& component,
                                      const WeightSelection& selection, const WeightPlace& place,
                                      c10::ScalarType dtype) {
  const c10::ScalarType held = weight_dtype(*component.component, dtype);
  WeightSet set = headers(component, held);
  bool is_packed = false;
  for (auto& [name, weight] : set.weights) {
    if (!selection.packed.contains(name)) weight.packing = Packing::None;
    is_packed = is_packed || weight.packing != Packing::None;
  }
  auto source = !component.branches.empty() ? branch_source(component, place, held)
                : is_packed ? packed_source(component, selection.packed, place, held)
                : component.changes.empty() ? files_source(component, place, held)
                                            : changed_source(component, place, held);
  return filled(std::move(set), std::move(source), selection, place);
}

std::shared_ptr<const WeightSet> load(std::shared_ptr<const WeightSet> source,
                                      const WeightSelection& selection, const WeightPlace& place) {
  WeightSet set{source->place, source->weights};
  for (auto& [name, weight] : set.weights) weight.data = at::Tensor();
  return filled(std::move(set), set_source(std::move(source), place), selection, place);
}

std::string first_nan(const WeightSet& weights) {
  const c10::InferenceMode no_autograd;
  for (const auto& [name, weight] : weights.weights) {
    const bool is_packed = weight.packing != Packing::None && weight.data.defined();
    const at::Tensor data = is_packed ? packed_scales(weight.data, weight.packing) : weight.data;
    if (!data.defined() || data.numel() == 0 || !c10::isFloatingType(data.scalar_type())) continue;
    // The largest value is NaN when any is, and takes no temporary of the tensor's size.
    if (data.max().isnan().item<bool>()) return name;
  }
  return {};
}

}  // namespace emulsion
