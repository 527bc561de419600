#include "weights/weight_store.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include "check.h"

#include <bit>
#include <cstring>
#include <limits>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "memory/memory_meter.h"
#include "runtime/weights/scratch.h"
#include "weights/safetensors.h"
#include "weights/safetensors_writer.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

// A model with one part, "unet", of these tensors.
OpenComponent component_of(const Scratch& scratch,
                           const std::map<std::string, at::Tensor>& tensors) {
  install_memory_meter();
  fs::create_directories(scratch.folder() / "unet");
  save_safetensors(scratch.folder() / "unet/model.safetensors", tensors);
  return open_component(scratch.folder(), "unet");
}

template <class Bits>
std::vector<Bits> bits_of(const at::Tensor& tensor) {
  std::vector<Bits> bits(static_cast<std::size_t>(tensor.numel()));
  std::memcpy(bits.data(), tensor.const_data_ptr(), tensor.nbytes());
  return bits;
}

at::Tensor tensor_of_bits(c10::ScalarType dtype, const std::vector<std::uint16_t>& bits) {
  at::Tensor tensor = at::ones({static_cast<std::int64_t>(bits.size())}, dtype);
  std::memcpy(tensor.mutable_data_ptr(), bits.data(), tensor.nbytes());
  return tensor;
}

// Everything, on the host.
std::shared_ptr<const WeightSet> loaded(const OpenComponent& open, c10::ScalarType dtype,
                                        MemoryMeter* meter = nullptr) {
  return load(open, all_of(open), WeightPlace{.meter = meter}, dtype);
}

at::Tensor loaded(const at::Tensor& tensor, c10::ScalarType dtype) {
  const Scratch scratch;
  return loaded(component_of(scratch, {{"a", tensor}}), dtype)->weights.at("a").data;
}

// Memory of a mapping is nobody's to resize.
bool is_view_of_file(const at::Tensor& tensor) { return !tensor.storage().resizable(); }

std::string dtype_of(const at::Tensor& tensor) { return dtype_text(tensor.scalar_type()); }

}  // namespace

TEST_CASE("a header gives shapes in the dtype of the run, and no data") {
  const Scratch scratch;
  const OpenComponent open = component_of(
      scratch, {{"a", at::ones({2, 3}, at::kHalf)}, {"ids", at::ones({5}, at::kLong)}});
  const auto set = header_of(open, at::kFloat);
  CHECK(set->place == (scratch.folder() / "unet").string());
  CHECK(set->weights.at("a").spec == TensorSpec{{2, 3}, at::kFloat});
  CHECK(set->weights.at("ids").spec == TensorSpec{{5}, at::kLong});
  CHECK(!set->weights.at("a").data.defined());
}

TEST_CASE("tensors in the dtype of the run are mapped, and unmapped with their last handle") {
  const Scratch scratch;
  const at::Tensor values = at::randn({7, 3});
  const OpenComponent open =
      component_of(scratch, {{"a", values}, {"b", at::ones({5}, at::kLong)}});
  MemoryMeter meter(c10::kCPU);
  auto set = loaded(open, at::kFloat, &meter);
  CHECK(meter.used() == 7 * 3 * 4 + 5 * 8);
  at::Tensor kept = set->weights.at("a").data;
  CHECK(at::equal(kept, values));
  CHECK(kept.is_inference());
  set = nullptr;
  CHECK(meter.used() == 7 * 3 * 4);
  CHECK(at::equal(kept, values));  // a handle alone keeps the mapping
  kept = at::Tensor();
  CHECK(meter.used() == 0);
}

TEST_CASE("mapped tensors lie in one mapping, as far apart as in the file") {
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, {{"a", at::ones({64})}, {"b", at::ones({64})}});
  const auto set = loaded(open, at::kFloat);
  const auto* a = static_cast<const char*>(set->weights.at("a").data.const_data_ptr());
  const auto* b = static_cast<const char*>(set->weights.at("b").data.const_data_ptr());
  CHECK(b - a == 64 * 4);
}

TEST_CASE("tensors of another dtype are copies, which the mapping does not outlive") {
  const Scratch scratch;
  const OpenComponent open = component_of(
      scratch, {{"half", at::ones({9}, at::kHalf)}, {"float", at::ones({4}, at::kFloat)}});
  MemoryMeter meter(c10::kCPU);
  const auto set = loaded(open, at::kFloat, &meter);
  CHECK(is_view_of_file(set->weights.at("float").data));
  CHECK(!is_view_of_file(set->weights.at("half").data));
  CHECK(meter.used() == 4 * 4 + 9 * 4);
  CHECK(dtype_of(set->weights.at("half").data) == "float32");
  CHECK(at::equal(set->weights.at("half").data, at::ones({9})));
}

TEST_CASE("a tensor whose address no element of its dtype may have is copied") {
  const Scratch scratch;
  std::string data(8, '\0');
  const float values[2] = {1.5F, -2.0F};
  std::memcpy(data.data(), values, sizeof values);
  std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  while (header.size() % 4 != 1) header += ' ';
  scratch.write("unet/model.safetensors", raw_safetensors(header, data));
  const auto set = loaded(open_component(scratch.folder(), "unet"), at::kFloat);
  CHECK(!is_view_of_file(set->weights.at("a").data));
  CHECK(std::bit_cast<std::uintptr_t>(set->weights.at("a").data.const_data_ptr()) % 4 == 0);
  CHECK(bits_of<float>(set->weights.at("a").data) == std::vector<float>{1.5F, -2.0F});
}

TEST_CASE("float16 becomes float32 exactly") {
  // 1, -2, smallest subnormal 2^-24, largest 65504, infinity, -0
  const at::Tensor half =
      tensor_of_bits(at::kHalf, {0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00, 0x8000});
  CHECK(bits_of<std::uint32_t>(loaded(half, at::kFloat)) ==
        std::vector<std::uint32_t>{0x3f800000, 0xc0000000, 0x33800000, 0x477fe000, 0x7f800000,
                                   0x80000000});
}

TEST_CASE("bfloat16 becomes float32 by adding zeros, and the way back rounds to even") {
  const at::Tensor brain = tensor_of_bits(at::kBFloat16, {0x3f80, 0xc049, 0x0001, 0x7f7f});
  CHECK(bits_of<std::uint32_t>(loaded(brain, at::kFloat)) ==
        std::vector<std::uint32_t>{0x3f800000, 0xc0490000, 0x00010000, 0x7f7f0000});
  const at::Tensor ties = at::ones({3});  // halfway down to even, halfway up to even, just above
  const std::vector<std::uint32_t> bits{0x3f808000, 0x3f818000, 0x3f808001};
  std::memcpy(ties.mutable_data_ptr(), bits.data(), ties.nbytes());
  CHECK(bits_of<std::uint16_t>(loaded(ties, at::kBFloat16)) ==
        std::vector<std::uint16_t>{0x3f80, 0x3f82, 0x3f81});
}

TEST_CASE("float32 becomes float16, float64 becomes float32, and whole numbers stay") {
  CHECK(bits_of<std::uint16_t>(loaded(at::full({1}, 0.1F), at::kHalf)) ==
        std::vector<std::uint16_t>{0x2e66});
  CHECK(bits_of<float>(loaded(at::full({1}, 0.1, at::kDouble), at::kFloat)) ==
        std::vector<float>{0.1F});
  CHECK(dtype_of(loaded(at::arange(4, at::kLong), at::kHalf)) == "int64");
  CHECK(dtype_of(loaded(at::ones({2}, at::kByte), at::kHalf)) == "uint8");
}

TEST_CASE("a tensor larger than the staging buffer is converted in pieces that join") {
  const at::Tensor counts = at::arange(5'000'001, at::kDouble);  // 40 MB, pieces of 8 MiB
  CHECK(at::equal(loaded(counts, at::kFloat), counts.to(at::kFloat)));
}

TEST_CASE("scalars and tensors without elements are loaded, too") {
  for (const c10::ScalarType dtype : {at::kFloat, at::kHalf}) {
    CHECK(loaded(at::full({}, 3.5F), dtype).item<float>() == 3.5F);
    CHECK(loaded(at::ones({0, 4}), dtype).sizes() == c10::IntArrayRef{0, 4});
  }
}

TEST_CASE("shards come together in one set, each with its own mapping") {
  const OpenComponent open = open_component("reference/sd21_base_like", "unet");
  const auto set = loaded(open, at::kHalf);
  std::size_t tensors = 0;
  for (const auto& file : open.files) tensors += file->tensors().size();
  CHECK(open.files.size() == 3);
  CHECK(set->weights.size() == tensors);
  for (const auto& [name, weight] : set->weights) {
    CHECK(weight.data.sizes() == c10::IntArrayRef(weight.spec.shape));
    CHECK(dtype_of(weight.data) == dtype_text(weight.spec.dtype));
  }
}

TEST_CASE("a file that was cut or written again since it was opened is refused") {
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, {{"a", at::ones({64})}});
  const fs::path file = scratch.folder() / "unet/model.safetensors";
  const auto bytes = fs::file_size(file);
  MemoryMeter meter(c10::kCPU);
  fs::resize_file(file, bytes - 4);
  const std::string fault =
      str(file.string(), ": has changed since it was opened: expected the file of ", bytes,
          " bytes, got a newer one of ", bytes - 4, "; start again");
  CHECK_THROWS_WITH_AS(loaded(open, at::kFloat, &meter), fault.c_str(), WeightError);
  CHECK_THROWS_WITH_AS(loaded(open, at::kHalf, &meter), fault.c_str(), WeightError);
  component_of(scratch, {{"a", at::full({64}, 2.0F)}});
  CHECK_THROWS_WITH_AS(loaded(open, at::kFloat, &meter), doctest::Contains(": has changed"),
                       WeightError);
  CHECK(meter.used() == 0);
}

TEST_CASE("only the tensors that a selection names are loaded, and the others can't be had") {
  const Scratch scratch;
  const OpenComponent open = component_of(
      scratch, {{"a", at::ones({10})}, {"b", at::ones({20})}, {"c", at::ones({30}, at::kHalf)}});
  MemoryMeter meter(c10::kCPU);
  const auto set = load(open, {{"a"}, {}}, WeightPlace{.meter = &meter}, at::kFloat);
  CHECK(meter.used() == 40);
  CHECK(set->weights.size() == 3);
  CHECK(set->weights.at("c").spec == TensorSpec{{30}, at::kFloat});
  const WeightView view(set);
  CHECK(at::equal(view.tensor("a", {10}), at::ones({10})));
  CHECK_THROWS_WITH_AS(view.tensor("b", {20}),
                       str((scratch.folder() / "unet").string(),
                           ": tensor 'b' was left in the file: expected one that the node's "
                           "forecast asks for; ask for the same tensors in forecast and run")
                           .c_str(),
                       WeightError);
  CHECK_THROWS_WITH_AS(load(open, {{"x"}, {}}, {}, at::kFloat),
                       doctest::Contains("unet: no tensor 'x' to load"), WeightError);
}

TEST_CASE("all of a component is every tensor of its files") {
  const OpenComponent open = open_component("reference/sd21_base_like", "unet");
  CHECK(all_of(open).lasting.size() == header_of(open, at::kFloat)->weights.size());
  CHECK(all_of(open).blocks.empty());
}

TEST_CASE("two sets of one file share a mapping, and count their bytes each on their own meter") {
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, {{"a", at::ones({64})}});
  MemoryMeter first_meter(c10::kCPU), second_meter(c10::kCPU);
  auto first = loaded(open, at::kFloat, &first_meter);
  const auto second = loaded(open_component(scratch.folder(), "unet"), at::kFloat, &second_meter);
  const at::Tensor& kept = second->weights.at("a").data;
  CHECK(first->weights.at("a").data.const_data_ptr() == kept.const_data_ptr());
  CHECK(first_meter.used() == 256);
  CHECK(second_meter.used() == 256);
  first = nullptr;
  CHECK(first_meter.used() == 0);
  CHECK(at::equal(kept, at::ones({64})));
}

TEST_CASE(
    "a file that was written again is mapped anew, beside what is still held of the old one") {
  const Scratch scratch;
  const auto old = loaded(component_of(scratch, {{"a", at::ones({64})}}), at::kFloat);
  const auto now = loaded(component_of(scratch, {{"a", at::full({64}, 2.0F)}}), at::kFloat);
  CHECK(at::equal(old->weights.at("a").data, at::ones({64})));
  CHECK(at::equal(now->weights.at("a").data, at::full({64}, 2.0F)));
}

TEST_CASE("a logical device holds copies, on its own meter") {
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, {{"a", at::ones({64})}});
  MemoryMeter host(c10::kCPU), logical(c10::kCPU);
  const MeterScope scope(host);
  const auto set = load(open, all_of(open), {c10::kCPU, false, &logical}, at::kFloat);
  CHECK(!is_view_of_file(set->weights.at("a").data));
  CHECK(at::equal(set->weights.at("a").data, at::ones({64})));
  CHECK(logical.used() == 256);
  CHECK(host.used() == 0);
}

TEST_CASE("host memory that conversion takes is not the logical device's") {
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, {{"a", at::ones({64}, at::kDouble)}});
  MemoryMeter host(c10::kCPU), logical(c10::kCPU);
  const auto on_host = loaded(open, at::kFloat, &host);
  const auto beside = load(open, all_of(open), {c10::kCPU, false, &logical}, at::kFloat);
  CHECK(host.peak() == 64 * 4 + 64 * 8);
  CHECK(logical.peak() == 64 * 4);
}

TEST_CASE("weights move from one device's memory to another's as copies") {
  const Scratch scratch;
  const at::Tensor values = at::randn({300, 1000});
  const OpenComponent open =
      component_of(scratch, {{"a", values}, {"b", at::ones({5}, at::kLong)}, {"c", values}});
  MemoryMeter host(c10::kCPU), logical(c10::kCPU);
  auto parked = loaded(open, at::kFloat, &host);
  const auto set = load(parked, {{"a", "b"}, {}}, {c10::kCPU, false, &logical});
  CHECK(set->place == parked->place);
  CHECK(set->weights.at("c").spec == parked->weights.at("c").spec);
  CHECK(!set->weights.at("c").data.defined());
  CHECK(parked->weights.at("a").data.defined());
  CHECK(logical.used() == 300 * 1000 * 4 + 5 * 8);
  parked = nullptr;
  CHECK(host.used() == 0);
  CHECK(at::equal(set->weights.at("a").data, values));
  CHECK(at::equal(set->weights.at("b").data, at::ones({5}, at::kLong)));
  CHECK_THROWS_WITH_AS(load(set, {{"c"}, {}}, {c10::kCPU, false, &logical}),
                       doctest::Contains(": tensor 'c': expected in memory, is in the file only"),
                       WeightError);
}

TEST_CASE("weights above the limit are said with their place, and nothing stays") {
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, {{"a", at::ones({64})}, {"b", at::ones({64})}});
  MemoryMeter meter(c10::kCPU);
  meter.set_limit(500);
  const std::string fault =
      str((scratch.folder() / "unet").string(), ": weights on cpu: do not fit: ");
  CHECK_THROWS_WITH_AS(loaded(open, at::kFloat, &meter), doctest::Contains(fault.c_str()),
                       OutOfMemory);
  CHECK_THROWS_WITH_AS(load(open, all_of(open), {c10::kCPU, false, &meter}, at::kFloat),
                       doctest::Contains(fault.c_str()), OutOfMemory);
  CHECK(meter.used() == 0);
}

TEST_CASE("what files hold in the run's dtype is mapped, the rest needs staging") {
  const Scratch scratch;
  const OpenComponent open =
      component_of(scratch, {{"a", at::ones({4})}, {"ids", at::ones({4}, at::kLong)}});
  const std::vector<std::string> both = {"a", "ids"};
  CHECK(read_cost(open, both, at::kFloat).mapped == 16 + 32);
  CHECK(read_cost(open, both, at::kFloat).staging == 0);
  CHECK(read_cost(open, both, at::kBFloat16).mapped == 32);
  CHECK(read_cost(open, both, at::kBFloat16).staging == kStagingBytes);
  CHECK(read_cost(open, {"ids"}, at::kBFloat16).staging == 0);
  const OpenComponent mixed =
      component_of(scratch, {{"a", at::ones({4})}, {"b", at::ones({4}, at::kHalf)}});
  CHECK(read_cost(mixed, {"a", "b"}, at::kFloat).mapped == 16);
  CHECK(read_cost(mixed, {"a", "b"}, at::kFloat).changed == 0);
}

TEST_CASE("a component is the same until one of its files changes") {
  const Scratch scratch;
  const auto opened = [&] { return identity_of(open_component(scratch.folder(), "unet")); };
  component_of(scratch, {{"a", at::ones({4})}});
  scratch.write("unet/config.json", "{}");
  const std::string first = opened();
  CHECK(opened() == first);
  component_of(scratch, {{"a", at::ones({4})}});  // of the same size
  const std::string second = opened();
  CHECK(second != first);
  scratch.write("unet/config.json", "[]");
  CHECK(opened() != second);
}

TEST_CASE("a component without weights is said with the files that it has") {
  const Scratch scratch;
  scratch.write("unet/config.json", "{}");
  scratch.write("unet/diffusion_pytorch_model.bin", "");
  CHECK_THROWS_WITH_AS(header_of(open_component(scratch.folder(), "unet"), at::kFloat),
                       str(scratch.folder().string(),
                           "/unet: no weights: expected a .safetensors file, got config.json, "
                           "diffusion_pytorch_model.bin; fetch or convert the model in "
                           "safetensors format")
                           .c_str(),
                       WeightError);
}

TEST_CASE("the first tensor with a NaN is named, and infinities are none") {
  const Scratch scratch;
  at::Tensor bad = at::ones({100, 3});
  bad.mutable_data_ptr<float>()[250] = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor endless = at::full({3}, std::numeric_limits<float>::infinity());
  const auto nan_in = [&](const std::map<std::string, at::Tensor>& tensors) {
    return first_nan(*loaded(component_of(scratch, tensors), at::kFloat));
  };
  CHECK(nan_in({{"a", at::ones({3})}, {"b.weight", bad}, {"c", bad}}) == "b.weight");
  CHECK(nan_in({{"a", endless}, {"ids", at::ones({3}, at::kLong)}, {"z", at::ones({0})}}).empty());
  CHECK(first_nan(*header_of(component_of(scratch, {{"a", bad}}), at::kFloat)).empty());
}
