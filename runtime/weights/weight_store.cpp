#include "weights/weight_store.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "memory/memory_meter.h"
#include "weights/mapped_file.h"
#include "weights/safetensors.h"

namespace emulsion {
namespace {

// What a mapped tensor's storage holds.
struct Lease {
  Lease(std::shared_ptr<const MappedFile> mapping, const MemoryMeter* meter, Bytes bytes)
      : file(std::move(mapping)), share(meter, bytes) {}
  std::shared_ptr<const MappedFile> file;
  MappedShare share;
};

// The tensors of one file, one after the other in the file's order.
class FileLoader {
 public:
  FileLoader(const SafetensorsFile& file, const WeightPlace& place)
      : file_(file), place_(place), device_(place.device) {}

  at::Tensor tensor(const StoredTensor& stored, c10::ScalarType dtype) {
    if (place_.is_host && stored.spec.dtype == dtype && is_aligned(stored)) return mapped(stored);
    return copied(stored, dtype);
  }

 private:
  // A mapping begins at a page, so the place in the file decides.
  static bool is_aligned(const StoredTensor& stored) {
    return stored.begin % c10::elementSize(stored.spec.dtype) == 0;
  }

  at::Tensor mapped(const StoredTensor& stored) {
    if (mapping_ == nullptr) mapping_ = std::make_shared<const MappedFile>(file_.path());
    if (mapping_->bytes().size() != file_.file_bytes())
      throw WeightError(str(file_.path().string(), ": has changed: expected ", file_.file_bytes(),
                            " bytes, got ", mapping_->bytes().size(), "; start again"));
    // Never written: whoever receives weights may only read them, and the pages are read-only.
    auto* data = const_cast<std::byte*>(mapping_->bytes().data() + stored.begin);
    const auto lease = std::make_shared<const Lease>(mapping_, place_.meter, stored.spec.bytes());
    return at::from_blob(
        data, stored.spec.shape, [lease](void*) {}, at::dtype(stored.spec.dtype));
  }

  // Reads instead of mapping: pages of a mapping would count as this process's until it ends.
  at::Tensor copied(const StoredTensor& stored, c10::ScalarType dtype) {
    at::Tensor result =
        at::empty(stored.spec.shape, at::TensorOptions().dtype(dtype).device(device_));
    if (device_.is_cpu() && stored.spec.dtype == dtype) {
      read(stored.begin, result.mutable_data_ptr(), stored.spec.bytes());
      return result;
    }
    const at::Tensor flat = result.view(-1);
    const auto element = static_cast<Bytes>(c10::elementSize(stored.spec.dtype));
    const std::int64_t count = stored.spec.count();
    const std::int64_t step = std::min(count, kStagingBytes / element);
    const at::Tensor staging = at::empty(
        {step}, at::TensorOptions().dtype(stored.spec.dtype).pinned_memory(device_.is_cuda()));
    for (std::int64_t start = 0; start < count; start += step) {
      const at::Tensor part = staging.narrow(0, 0, std::min(step, count - start));
      read(stored.begin + static_cast<std::uint64_t>(start * element), part.mutable_data_ptr(),
           part.numel() * element);
      flat.narrow(0, start, part.numel()).copy_(part);
    }
    return result;
  }

  void read(std::uint64_t begin, void* into, Bytes bytes) {
    read_bytes(file_.path(), begin, into, static_cast<std::size_t>(bytes));
  }

  const SafetensorsFile& file_;
  const WeightPlace& place_;
  c10::Device device_;
  std::shared_ptr<const MappedFile> mapping_;  // once a tensor needs it
};

void load_file(const SafetensorsFile& file, const WeightPlace& place,
               const std::set<std::string_view>& wanted, WeightSet& set) {
  using Named = std::pair<std::string_view, const StoredTensor*>;
  std::vector<Named> ordered;  // by place, so that the disk is read in one sweep
  for (const auto& [name, stored] : file.tensors())
    if (wanted.contains(name)) ordered.emplace_back(name, &stored);
  std::ranges::sort(ordered, {}, [](const Named& named) { return named.second->begin; });
  FileLoader loader(file, place);
  for (const auto& [name, stored] : ordered) {
    Weight& weight = set.weights.find(name)->second;
    weight.data = loader.tensor(*stored, weight.spec.dtype);
  }
}

WeightSet headers(const OpenComponent& component, c10::ScalarType dtype) {
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
      set.weights.emplace(
          name, Weight{{stored.spec.shape, floating ? dtype : stored.spec.dtype}, at::Tensor()});
    }
  return set;
}

}  // namespace

std::shared_ptr<const WeightSet> header_of(const OpenComponent& component, c10::ScalarType dtype) {
  WeightSet set = headers(component, dtype);
  set.header_only = true;
  return std::make_shared<const WeightSet>(std::move(set));
}

Bytes resident_bytes(const WeightSet& weights) {
  Bytes sum = 0;
  for (const auto& [name, weight] : weights.weights) sum += weight.spec.bytes();
  return sum;
}

std::shared_ptr<const WeightSet> load(const OpenComponent& component,
                                      const WeightSelection& selection, const WeightPlace& place,
                                      c10::ScalarType dtype) {
  const c10::InferenceMode no_autograd;
  std::optional<MeterScope> scope;
  if (place.meter != nullptr) scope.emplace(*place.meter);
  std::set<std::string_view> wanted(selection.lasting.begin(), selection.lasting.end());
  for (const auto& block : selection.blocks) wanted.insert(block.begin(), block.end());
  WeightSet set = headers(component, dtype);
  try {
    for (const auto& file : component.files) load_file(*file, place, wanted, set);
  } catch (const c10::OutOfMemoryError& fault) {
    throw OutOfMemory(str(set.place, ": ", format_bytes(resident_bytes(set)),
                          " of weights do not fit on ", place.device.str(), ": ",
                          fault.what_without_backtrace()));
  }
  return std::make_shared<const WeightSet>(std::move(set));
}

WeightSelection all_of(const OpenComponent& component) {
  WeightSelection selection;
  for (const auto& file : component.files)
    for (const auto& [name, stored] : file->tensors()) selection.lasting.push_back(name);
  return selection;
}

std::string first_nan(const WeightSet& weights) {
  const c10::InferenceMode no_autograd;
  for (const auto& [name, weight] : weights.weights) {
    const at::Tensor& data = weight.data;
    if (!data.defined() || data.numel() == 0 || !c10::isFloatingType(data.scalar_type())) continue;
    // The largest value is NaN when any is, and takes no temporary of the tensor's size.
    if (data.max().isnan().item<bool>()) return name;
  }
  return {};
}

}  // namespace emulsion
