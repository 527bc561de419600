#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include <limits>

#include "emulsion/errors.h"
#include "fakes/gguf_file.h"
#include "fakes/packed.h"
#include "memory/memory_meter.h"
#include "runtime/weights/scratch.h"
#include "weights/adapter.h"
#include "weights/safetensors_writer.h"
#include "weights/tensor_file.h"
#include "weights/weight_packing.h"
#include "weights/weight_store.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

const std::map<std::string, at::Tensor>& plain_tensors() {
  static const std::map<std::string, at::Tensor> tensors = {
      {"w", at::randn({40, 600}).to(at::kHalf)},
      {"v", at::randn({8, 4, 3, 3})},
      {"b", at::randn({40})},
      {"n", at::arange(4)}};
  return tensors;
}

// Tensors of a safetensors file, to be packed as int8.
OpenComponent plain_component(const Scratch& scratch) {
  install_memory_meter();
  fs::create_directories(scratch.folder() / "unet");
  save_safetensors(scratch.folder() / "unet/model.safetensors", plain_tensors());
  OpenComponent open = open_component(scratch.folder(), "unet");
  open.packing = Packing::Int8;
  return open;
}

// A component whose one file is of GGUF: "w" packed in rows, "b" plain.
OpenComponent packed_component(const Scratch& scratch, const Weight& weight) {
  install_memory_meter();
  const at::Tensor bias = at::randn({40});
  const fs::path path = scratch.folder() / "unet.gguf";
  fakes::write_gguf(path, {{"w", weight}, {"b", {{{40}, at::kFloat}, bias}}});
  auto component = std::make_shared<Component>();
  component->place = "unet.gguf";
  return {component, {open_tensor_file(path)}};
}

Weight loaded(const OpenComponent& open, const std::string& name, const WeightNames& packed,
              MemoryMeter* meter = nullptr, bool is_host = true) {
  WeightSelection selection = all_of(open);
  selection.packed = packed;
  const WeightPlace place{.device = c10::kCPU, .is_host = is_host, .meter = meter};
  return load(open, selection, place, at::kBFloat16)->weights.at(name);
}

at::Tensor numbers_of(const Weight& weight) {
  return unpacked(weight.data, weight.packing).view(weight.spec.shape);
}

// W + up @ down.
OpenComponent adapted(OpenComponent open, const at::Tensor& down, const at::Tensor& up) {
  Adapter adapter{
      .file = "a.safetensors", .identity = "a", .parts = {}, .unmatched = {}, .embeddings = {}};
  adapter.parts["unet"].emplace("w", WeightChange(LowRank{down, up, {}, 1}));
  open.changes.push_back(
      Adaptation{std::make_shared<const Adapter>(adapter), "unet", {{"w", 1.0}}});
  return open;
}

bool is_view_of_file(const at::Tensor& tensor) { return !tensor.storage().resizable(); }

}  // namespace

TEST_CASE("tensors become int8 where they are asked for so, others are as the run has them") {
  const Scratch scratch;
  const OpenComponent open = plain_component(scratch);
  for (const char* name : {"w", "v"}) {
    const at::Tensor from = plain_tensors().at(name).to(at::kFloat);
    const Weight weight = loaded(open, name, {"w", "v", "b", "n"});
    CHECK((weight.packing == Packing::Int8));
    CHECK(weight.spec == TensorSpec{from.sizes().vec(), at::kBFloat16});
    CHECK(weight.data.equal(packed_int8(from.flatten(1))));
  }
  const Weight plain = loaded(open, "w", {"v"});
  CHECK((plain.packing == Packing::None));
  CHECK(plain.data.equal(plain_tensors().at("w").to(at::kBFloat16)));
  CHECK((loaded(open, "b", {"b"}).data.scalar_type() == at::kBFloat16));
  CHECK((loaded(open, "n", {"n"}).data.scalar_type() == at::kLong));
}

TEST_CASE("a header tells what may be packed, and the component's identity what is wanted") {
  const Scratch scratch;
  OpenComponent open = plain_component(scratch);
  const auto header = header_of(open, at::kBFloat16);
  CHECK((header->weights.at("w").packing == Packing::Int8));
  CHECK((header->weights.at("v").packing == Packing::Int8));
  CHECK((header->weights.at("b").packing == Packing::None));
  CHECK((header->weights.at("n").packing == Packing::None));
  const std::string packed = identity_of(open);
  open.packing = Packing::None;
  CHECK(identity_of(open) != packed);
  CHECK((header_of(open, at::kBFloat16)->weights.at("w").packing == Packing::None));
}

TEST_CASE("a packed file's bytes are mapped as they are, and unpacked for who asks for numbers") {
  const Scratch scratch;
  for (const Packing packing : {Packing::Q8_0, Packing::Q4_0}) {
    const Weight written = fakes::random_packed({40, 64}, packing, at::kFloat);
    const OpenComponent open = packed_component(scratch, written);
    const Weight weight = loaded(open, "w", {"w"});
    CHECK((weight.packing == packing));
    CHECK(weight.spec == TensorSpec{{40, 64}, at::kBFloat16});
    CHECK(weight.data.equal(written.data));
    CHECK(is_view_of_file(weight.data));
    const Weight plain = loaded(open, "w", {});
    CHECK((plain.packing == Packing::None));
    CHECK(plain.data.equal(numbers_of(written).to(at::kBFloat16)));
  }
}

TEST_CASE("what is changed on the way is changed in float32 and packed as int8") {
  const Scratch scratch;
  const at::Tensor up = at::randn({40, 2});
  const OpenComponent plain = adapted(plain_component(scratch), at::randn({2, 600}), up);
  const Weight written = fakes::random_packed({40, 64}, Packing::Q4_0, at::kFloat);
  const OpenComponent packed = adapted(packed_component(scratch, written), at::randn({2, 64}), up);
  for (const OpenComponent& open : {plain, packed}) {
    const Weight weight = loaded(open, "w", {"w"});
    CHECK((weight.packing == Packing::Int8));
    const at::Tensor wanted = changed_tensor(open, "w", Pace::OneThread);
    CHECK(weight.data.equal(packed_int8(wanted)));
    CHECK((loaded(open, "w", {}).packing == Packing::None));
  }
}

TEST_CASE("packed weights are counted by their bytes, also in a stream") {
  const Scratch scratch;
  const OpenComponent open = plain_component(scratch);
  const Bytes bytes = packed_spec(Packing::Int8, {{40, 600}, at::kFloat}).bytes();
  for (const bool is_host : {true, false}) {
    MemoryMeter meter(c10::kCPU);
    const WeightSelection lasting{.lasting = {"w"}, .blocks = {}, .packed = {"w"}};
    const auto held = load(open, lasting, {c10::kCPU, is_host, &meter}, at::kBFloat16);
    CHECK(meter.used() >= bytes);
    CHECK(meter.used() < bytes + 1024);
    const WeightSelection streamed{.lasting = {}, .blocks = {{"w"}, {"v"}}, .packed = {"w", "v"}};
    const auto set = load(open, streamed, {c10::kCPU, is_host, &meter}, at::kBFloat16);
    CHECK(set->stream->fetch("w").equal(held->weights.at("w").data));
  }
}

TEST_CASE("reading costs what packing takes, and nothing where the file's bytes are mapped") {
  const Scratch scratch;
  const OpenComponent plain = plain_component(scratch);
  const ReadCost made = read_cost(plain, {"w"}, at::kFloat, {"w"});
  CHECK(made.mapped == 0);
  CHECK(made.staging >= kStagingBytes);
  CHECK(made.changes.traffic > 0);
  CHECK(made.changed == 0);
  const OpenComponent packed =
      packed_component(scratch, fakes::random_packed({40, 64}, Packing::Q8_0, at::kFloat));
  CHECK(read_cost(packed, {"w"}, at::kBFloat16, {"w"}).mapped == 40 * 68);
  CHECK(read_cost(packed, {"w"}, at::kBFloat16, {"w"}).staging == 0);
  CHECK(read_cost(packed, {"w"}, at::kBFloat16).mapped == 0);
  CHECK(read_cost(packed, {"w"}, at::kFloat).staging == kStagingBytes);
}

TEST_CASE("a tensor with NaN is found when it is packed, too") {
  const Scratch scratch;
  install_memory_meter();
  at::Tensor damaged = at::randn({4, 8});
  damaged.select(0, 2).fill_(std::numeric_limits<double>::quiet_NaN());
  fs::create_directories(scratch.folder() / "unet");
  save_safetensors(scratch.folder() / "unet/model.safetensors",
                   {{"a", at::randn({4, 8})}, {"w", damaged}});
  OpenComponent open = open_component(scratch.folder(), "unet");
  open.packing = Packing::Int8;
  WeightSelection selection = all_of(open);
  selection.packed = {"a", "w"};
  CHECK(first_nan(*load(open, selection, {}, at::kFloat)) == "w");
}
