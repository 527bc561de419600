#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "memory/memory_meter.h"
#include "weights/mapped_file.h"
#include "weights/read_elements.h"
#include "weights/safetensors.h"
#include "weights/weight_copy.h"
#include "weights/weight_source.h"

namespace emulsion {
namespace {

struct Located {
  std::string_view name;
  const TensorFile* file;
  const StoredTensor* stored;

  std::uint64_t end() const { return stored->begin + static_cast<std::uint64_t>(stored->bytes()); }
};

// What a mapped tensor's storage holds.
struct Lease {
  Lease(std::shared_ptr<const MappedFile> mapping, const MemoryMeter* meter, Bytes bytes)
      : file(std::move(mapping)), share(meter, bytes) {}

  std::shared_ptr<const MappedFile> file;
  MappedShare share;
};

class FilesSource final : public WeightSource {
 public:
  FilesSource(OpenComponent component, const WeightPlace& place, c10::ScalarType dtype)
      : component_(std::move(component)), place_(place), dtype_(dtype) {
    for (const auto& file : component_.files)
      for (const auto& [name, stored] : file->tensors())
        located_.emplace(name, Located{name, file.get(), &stored});
  }

  Bundle read(const std::vector<std::string>& names, Stay stay, Pace pace) const override {
    const MeterScope scope(place_.meter, MeterScope::Reach::ThisThread);
    const std::vector<Located> ordered = in_file_order(names);
    for (const TensorFile* file : files_of(ordered)) expect_unchanged(*file);
    Bundle tensors;
    std::vector<WeightCopy> copies;
    for (auto next = ordered.begin(); next != ordered.end();) {
      if (!is_mappable(*next)) {
        copies.push_back(copy_of(*next));
        tensors.emplace(next->name, copies.back().result);
        ++next;
        continue;
      }
      const auto run_end = stay == Stay::Lasting ? next + 1 : end_of_run(next, ordered.end());
      map_run({next, run_end}, stay, tensors);
      next = run_end;
    }
    fill_all(copies, pace);
    for (const TensorFile* file : files_of(ordered)) expect_unchanged(*file);
    return tensors;
  }

 private:
  using Run = std::span<const Located>;
  using Place = std::vector<Located>::const_iterator;

  // So that the disk is read in one sweep.
  std::vector<Located> in_file_order(const std::vector<std::string>& names) const {
    std::vector<Located> ordered;
    for (const std::string& name : names) ordered.push_back(located_.find(name)->second);
    std::ranges::sort(ordered, {}, [](const Located& tensor) {
      return std::tuple(tensor.file, tensor.stored->begin);
    });
    return ordered;
  }

  static std::set<const TensorFile*> files_of(const std::vector<Located>& tensors) {
    std::set<const TensorFile*> files;
    for (const Located& tensor : tensors) files.insert(tensor.file);
    return files;
  }

  static void expect_unchanged(const TensorFile& file) {
    emulsion::expect_unchanged(file.path(), file.identity());
  }

  c10::ScalarType dtype_of(const StoredTensor& stored) const {
    return c10::isFloatingType(stored.spec.dtype) ? dtype_ : stored.spec.dtype;
  }

  // A mapping begins at a page, so the place in the file decides over the address.
  bool is_mappable(const Located& tensor) const {
    const c10::ScalarType dtype = tensor.stored->spec.dtype;
    return place_.is_host && place_.device.is_cpu() && !tensor.stored->transposed &&
           tensor.stored->packing == Packing::None && dtype_of(*tensor.stored) == dtype &&
           tensor.stored->begin % c10::elementSize(dtype) == 0;
  }

  // Tensors that follow one another in a file share a mapping.
  Place end_of_run(Place first, Place last) const {
    Place next = first + 1;
    while (next != last && next->file == first->file && is_mappable(*next) &&
           next->stored->begin == std::prev(next)->end())
      ++next;
    return next;
  }

  void map_run(Run run, Stay stay, Bundle& tensors) const {
    const TensorFile& file = *run.front().file;
    const std::uint64_t begin = stay == Stay::Lasting ? 0 : run.front().stored->begin;
    const std::shared_ptr<const MappedFile> mapping =
        stay == Stay::Lasting
            ? shared_mapping(file.path(), file.identity())
            : std::make_shared<const MappedFile>(file.path(), begin, run.back().end() - begin);
    for (const Located& tensor : run) {
      // Never written: whoever receives weights may only read them, and the pages are read-only.
      auto* const data =
          const_cast<std::byte*>(mapping->bytes().data() + (tensor.stored->begin - begin));
      const TensorSpec& spec = tensor.stored->spec;
      const auto lease = std::make_shared<const Lease>(mapping, place_.meter, spec.bytes());
      tensors.emplace(tensor.name, at::from_blob(
                                       data, spec.shape, [lease](void*) {}, at::dtype(spec.dtype)));
    }
    if (stay == Stay::Passing) mapping->touch();
  }

  // Reads instead of mapping: pages of a mapping would count as this process's until it ends.
  WeightCopy copy_of(const Located& tensor) const {
    const TensorSpec spec{tensor.stored->spec.shape, dtype_of(*tensor.stored)};
    return {new_tensor(spec, place_.device),
            [this, tensor](std::int64_t start, const at::Tensor& into) {
              // Host memory beside an accelerator or a logical device is not theirs.
              read_elements(*tensor.file, *tensor.stored, start, into,
                            place_.is_host ? place_.meter : nullptr);
            }};
  }

  OpenComponent component_;
  WeightPlace place_;
  c10::ScalarType dtype_;
  std::map<std::string_view, Located> located_;  // names and tensors are the component's
};

}  // namespace

std::unique_ptr<const WeightSource> files_source(OpenComponent component, const WeightPlace& place,
                                                 c10::ScalarType dtype) {
  return std::make_unique<FilesSource>(std::move(component), place, dtype);
}

}  // namespace emulsion
