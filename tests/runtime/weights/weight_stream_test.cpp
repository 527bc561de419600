#include "weights/weight_stream.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include "check.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <latch>
#include <mutex>
#include <thread>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "memory/memory_meter.h"
#include "runtime/weights/scratch.h"
#include "weights/safetensors.h"
#include "weights/safetensors_writer.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

using Blocks = std::vector<std::vector<std::string>>;

constexpr Bytes kBlock = 3 * 1024 * 4 + 4;  // of the model below, in float32

// "lasting" and four blocks, "0.weight" [3, 1024] and "0.bias" [1] and so on.
std::map<std::string, at::Tensor> model(c10::ScalarType dtype = at::kFloat) {
  std::map<std::string, at::Tensor> tensors{{"lasting", at::randn({100}).to(dtype)}};
  for (int i = 0; i < 4; ++i) {
    tensors[str(i, ".weight")] = at::randn({3, 1024}).to(dtype);
    tensors[str(i, ".bias")] = at::full({1}, static_cast<double>(i), dtype);
  }
  return tensors;
}

Blocks four_blocks() {
  Blocks blocks;
  for (int i = 0; i < 4; ++i) blocks.push_back({str(i, ".weight"), str(i, ".bias")});
  return blocks;
}

OpenComponent component_of(const Scratch& scratch,
                           const std::map<std::string, at::Tensor>& tensors) {
  install_memory_meter();
  fs::create_directories(scratch.folder() / "unet");
  save_safetensors(scratch.folder() / "unet/model.safetensors", tensors);
  return open_component(scratch.folder(), "unet");
}

// Goes through the blocks twice, as a model does: it holds one block at a time.
std::map<std::string, at::Tensor> gone_through(const WeightSet& set, const Blocks& blocks) {
  std::map<std::string, at::Tensor> seen;
  for (int round = 0; round < 2; ++round)
    for (const auto& block : blocks)
      for (const std::string& name : block) {
        const at::Tensor tensor = set.stream->fetch(name);
        CHECK(tensor.is_inference());
        seen[name] = tensor.to(at::kDouble);
      }
  return seen;
}

void check_equals_resident(const OpenComponent& open, const WeightSelection& selection,
                           const WeightPlace& place, c10::ScalarType dtype) {
  const auto resident = load(open, all_of(open), {}, dtype);
  const auto host = load(open, all_of(open), {}, dtype);
  for (const auto& set : {load(open, selection, place, dtype), load(host, selection, place)}) {
    CHECK(set->weights.at("lasting").data.defined());
    CHECK(!set->weights.at("0.weight").data.defined());
    for (const auto& [name, tensor] : gone_through(*set, selection.blocks))
      CHECK(at::equal(tensor, resident->weights.at(name).data.to(at::kDouble)));
  }
}

// The meter's bytes grow by 100 with each block, which has one tensor, named by its number.
class FakeSource final : public WeightSource {
 public:
  using Watch = std::function<void(const std::string& name, Pace pace)>;

  explicit FakeSource(MemoryMeter& meter, Watch watch = {})
      : meter_(meter), watch_(std::move(watch)) {}
  ~FakeSource() override { CHECK(reading_ == 0); }

  Bundle read(const std::vector<std::string>& names, Stay, Pace pace) const override {
    ++reading_;
    const MeterScope scope(meter_, MeterScope::Reach::ThisThread);
    Bundle tensors;
    try {
      if (watch_) watch_(names.front(), pace);
      for (const std::string& name : names) tensors[name] = at::ones({25});
    } catch (...) {
      --reading_;
      throw;
    }
    --reading_;
    return tensors;
  }

 private:
  MemoryMeter& meter_;
  Watch watch_;
  mutable std::atomic<int> reading_{0};
};

BlockStream fake_stream(MemoryMeter& meter, FakeSource::Watch watch = {}, bool prefetch = true,
                        Blocks blocks = {{"0"}, {"1"}, {"2"}}) {
  install_memory_meter();
  return {"model/unet", std::make_unique<FakeSource>(meter, std::move(watch)), std::move(blocks),
          c10::kCPU, prefetch};
}

}  // namespace

TEST_CASE("streamed tensors equal resident ones in every dtype, place and order of reading") {
  for (const c10::ScalarType stored : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const Scratch scratch;
    const OpenComponent open = component_of(scratch, model(stored));
    for (const c10::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16})
      for (const bool is_host : {true, false})
        for (const bool prefetch : {true, false})
          check_equals_resident(open, {{"lasting"}, four_blocks(), prefetch},
                                {c10::kCPU, is_host, nullptr}, dtype);
  }
}

TEST_CASE("with prefetch two blocks are in memory at a time, and without it one") {
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, model());
  for (const bool is_host : {true, false})
    for (const bool prefetch : {true, false}) {
      MemoryMeter meter(c10::kCPU);
      auto set = load(open, {{"lasting"}, four_blocks(), prefetch}, {c10::kCPU, is_host, &meter},
                      at::kFloat);
      CHECK(meter.peak() == 400);
      gone_through(*set, four_blocks());
      CHECK(meter.peak() == 400 + (prefetch ? 2 : 1) * kBlock);
      set = nullptr;
      CHECK(meter.used() == 0);
    }
}

TEST_CASE("conversion adds no more than the staging memory to the blocks") {
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, model(at::kHalf));
  MemoryMeter meter(c10::kCPU);
  const auto set =
      load(open, {{"lasting"}, four_blocks(), false}, {c10::kCPU, true, &meter}, at::kFloat);
  gone_through(*set, four_blocks());
  CHECK(meter.peak() > 400 + kBlock);
  CHECK(meter.peak() <= 400 + kBlock + kStagingBytes);
}

TEST_CASE("mapped blocks leave the address space") {
  if (!fs::exists("/proc/self/maps")) return;
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, model());
  const auto mappings = [&] {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) count += line.ends_with("/model.safetensors");
    return count;
  };
  auto set = load(open, {{}, four_blocks(), false}, {}, at::kFloat);
  CHECK(mappings() == 0);
  for (const char* name : {"0.weight", "1.weight", "2.weight", "3.weight", "0.weight"}) {
    const std::string bias = str(name[0], ".bias");
    const auto* weight = set->stream->fetch(name).const_data_ptr();
    CHECK(set->stream->fetch(name).const_data_ptr() == weight);
    CHECK(set->stream->fetch(bias).numel() == 1);
    // The format keeps the names' order, so weight and bias lie together or, for the last bias
    // and the first weight, apart.
    CHECK(mappings() >= 1);
    CHECK(mappings() <= 2);
  }
  set = nullptr;
  CHECK(mappings() == 0);
}

TEST_CASE("a file that was written again between two blocks is refused, and not half used") {
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, model());
  for (const bool is_host : {true, false}) {
    const OpenComponent opened = open_component(scratch.folder(), "unet");
    const auto set =
        load(opened, {{}, four_blocks(), false}, {c10::kCPU, is_host, nullptr}, at::kFloat);
    const at::Tensor before = set->stream->fetch("0.weight");
    component_of(scratch, model());
    CHECK_THROWS_WITH_AS(set->stream->fetch("1.weight"), doctest::Contains(": has changed since"),
                         WeightError);
  }
}

TEST_CASE("the next block is read in the background, on one thread, and the first one at once") {
  MemoryMeter meter(c10::kCPU);
  std::mutex mutex;
  std::vector<std::string> reads;
  {
    BlockStream stream = fake_stream(meter, [&](const std::string& name, Pace pace) {
      const std::lock_guard lock(mutex);
      reads.push_back(str(name, pace == Pace::OneThread ? " beside" : ""));
    });
    for (const char* name : {"0", "1", "2", "0"}) stream.fetch(name);
  }
  CHECK(reads == std::vector<std::string>{"0", "1 beside", "2 beside", "0 beside", "1 beside"});
}

TEST_CASE("a block is read when the one two before it has left") {
  MemoryMeter meter(c10::kCPU);
  std::mutex mutex;
  std::vector<Bytes> used;
  {
    BlockStream stream = fake_stream(meter, [&](const std::string&, Pace) {
      const std::lock_guard lock(mutex);
      used.push_back(meter.used());
    });
    for (const char* name : {"0", "1", "2", "0", "1"}) stream.fetch(name);
  }
  used.pop_back();  // that read and the stream's end went side by side
  CHECK(used == std::vector<Bytes>{0, 100, 100, 100, 100});
  CHECK(meter.peak() == 200);
  CHECK(meter.used() == 0);
}

TEST_CASE("a block that was read for nothing leaves before the right one comes") {
  MemoryMeter meter(c10::kCPU);
  std::mutex mutex;
  std::vector<std::string> reads;
  {
    BlockStream stream = fake_stream(meter, [&](const std::string& name, Pace) {
      const std::lock_guard lock(mutex);
      reads.push_back(str(name, " ", meter.used()));
    });
    stream.fetch("0");
    stream.fetch("2");
    CHECK(stream.fetch("0").numel() == 25);
  }
  reads.pop_back();  // that read and the stream's end went side by side
  CHECK(reads == std::vector<std::string>{"0 0", "1 100", "2 0", "0 100"});
  CHECK(meter.used() == 0);
}

TEST_CASE(
    "what goes wrong in the background comes out of the fetch, and the next one tries again") {
  MemoryMeter meter(c10::kCPU);
  std::atomic<bool> damaged{true};
  BlockStream stream = fake_stream(meter, [&](const std::string& name, Pace) {
    if (name == "1" && damaged) throw WeightError("the disk is gone");
  });
  CHECK(stream.fetch("0").defined());
  CHECK_THROWS_WITH_AS(stream.fetch("1"), "the disk is gone", WeightError);
  CHECK_THROWS_WITH_AS(stream.fetch("1"), "the disk is gone", WeightError);
  damaged = false;
  CHECK(stream.fetch("1").defined());
  CHECK(stream.fetch("2").defined());
}

TEST_CASE("a block above the limit is out of memory with its number") {
  MemoryMeter meter(c10::kCPU);
  meter.set_limit(150);
  BlockStream stream = fake_stream(meter);
  CHECK(stream.fetch("0").defined());
  CHECK_THROWS_WITH_AS(stream.fetch("1"),
                       doctest::Contains("model/unet: block 2 of 3: do not fit: asked for 100 B"),
                       OutOfMemory);
  BlockStream frugal = fake_stream(meter, {}, /*prefetch=*/false);
  CHECK_THROWS_AS(frugal.fetch("0"), OutOfMemory);  // beside the block of the other
}

TEST_CASE("a stream that ends in the middle of a read waits for it") {
  MemoryMeter meter(c10::kCPU);
  std::latch began(1), go_on(1);
  std::atomic<bool> finished{false};
  auto stream = std::make_unique<BlockStream>(
      "model/unet",
      std::make_unique<FakeSource>(meter,
                                   [&](const std::string& name, Pace) {
                                     if (name == "0") return;
                                     began.count_down();
                                     go_on.wait();
                                     finished = true;
                                   }),
      Blocks{{"0"}, {"1"}}, c10::kCPU, /*prefetch=*/true);
  stream->fetch("0");
  began.wait();
  std::thread later([&] { go_on.count_down(); });
  stream = nullptr;
  CHECK(finished);
  CHECK(meter.used() == 0);
  later.join();
}

TEST_CASE("a tensor of two blocks is taken from the one that is there") {
  MemoryMeter meter(c10::kCPU);
  std::atomic<int> reads{0};
  BlockStream stream = fake_stream(meter, [&](const std::string&, Pace) { ++reads; },
                                   /*prefetch=*/false, {{"0", "tied"}, {"1"}, {"2", "tied"}});
  stream.fetch("2");
  stream.fetch("tied");
  CHECK(reads == 1);
  stream.fetch("0");
  stream.fetch("tied");
  CHECK(reads == 2);
  stream.fetch("1");
  stream.fetch("tied");  // of the block that comes next
  stream.fetch("2");
  CHECK(reads == 4);
}

TEST_CASE("a single block stays") {
  MemoryMeter meter(c10::kCPU);
  std::atomic<int> reads{0};
  BlockStream stream =
      fake_stream(meter, [&](const std::string&, Pace) { ++reads; }, true, {{"0"}});
  for (int i = 0; i < 3; ++i) stream.fetch("0");
  CHECK(reads == 1);
}

TEST_CASE("a tensor that is in a block and lasting is there once") {
  const Scratch scratch;
  const OpenComponent open = component_of(scratch, model());
  MemoryMeter meter(c10::kCPU);
  const auto set = load(open, {{"lasting", "0.weight"}, {{"0.weight", "0.bias"}}},
                        {c10::kCPU, false, &meter}, at::kFloat);
  CHECK(set->weights.at("0.weight").data.defined());
  set->stream->fetch("0.bias");
  CHECK(meter.used() == 400 + 3 * 1024 * 4 + 4);
}

TEST_CASE("blocks of shards and of the reference model equal what is resident") {
  const OpenComponent open = open_component("reference/sd21_base_like", "unet");
  Blocks blocks(5);
  std::size_t turn = 0;
  for (const std::string& name : all_of(open).lasting) blocks[turn++ % 5].push_back(name);
  const auto resident = load(open, all_of(open), {}, at::kHalf);
  const auto set = load(open, {{}, blocks}, {}, at::kHalf);
  for (const auto& [name, tensor] : gone_through(*set, blocks))
    CHECK(at::equal(tensor, resident->weights.at(name).data.to(at::kDouble)));
}
