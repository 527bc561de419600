#include "models/workspace.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>
#include "check.h"

#include <atomic>
#include <cstring>

#include "fakes/reference.h"
#include "models/clip_text.h"
#include "models/unet.h"
#include "models/vae.h"

namespace emulsion::models {
namespace {

std::atomic<Bytes> allocated{0}, largest{0};

void note_peak() {
  const Bytes now = allocated;
  Bytes seen = largest;
  while (seen < now && !largest.compare_exchange_weak(seen, now)) {
  }
}

void free_counted(void* memory) {
  if (memory == nullptr) return;
  allocated -= static_cast<Bytes>(malloc_usable_size(memory));
  c10::free_cpu(memory);
}

// Counts what LibTorch holds on the CPU.
class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* memory = bytes == 0 ? nullptr : c10::alloc_cpu(bytes);
    if (memory != nullptr) {
      allocated += static_cast<Bytes>(malloc_usable_size(memory));
      note_peak();
    }
    return {memory, memory, &free_counted, c10::kCPU};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_counted; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
};

// The most that `compute` holds at once beyond what there was before.
template <class Compute>
Bytes measured(const Compute& compute) {
  static CountingAllocator counting;
  c10::Allocator* usual = c10::GetCPUAllocator();
  c10::SetCPUAllocator(&counting, 1);
  const Bytes before = allocated;
  largest = before;
  compute();
  c10::SetCPUAllocator(usual, 1);
  return largest - before;
}

// The bound holds, and is not more than twice too large where maps outweigh what is fixed.
void check_bound(Bytes bound, Bytes peak, bool is_large) {
  CAPTURE(format_bytes(bound));
  CAPTURE(format_bytes(peak));
  CHECK(peak <= bound);
  if (is_large) CHECK(bound <= 2 * peak);
}

struct ModelCase {
  std::filesystem::path model;
  std::int64_t batch, height, width;
  c10::ScalarType dtype;
  bool is_large;
};

std::vector<ModelCase> cases() {
  std::vector<ModelCase> list;
  for (const c10::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const char* name : fakes::kReferenceModels) {
      list.push_back({fakes::reference_model(name), 1, 8, 12, dtype, false});
      list.push_back({fakes::reference_model(name), 3, 33, 47, dtype, false});
    }
    list.push_back({"../examples/models/tiny-sd21", 1, 64, 64, dtype, true});
    list.push_back({"../examples/models/tiny-sd21", 2, 48, 96, dtype, true});
  }
  return list;
}

TEST_CASE("a UNet holds no more than its bound") {
  const c10::InferenceMode inference;
  for (const ModelCase& one : cases()) {
    CAPTURE(one.model);
    const auto part = fakes::load_part(one.model, "unet", one.dtype);
    const UnetConfig config = read_unet_config(*part.component);
    const Unet unet(part.view(), config);
    const at::Tensor sample = at::randn({one.batch, 4, one.height, one.width}).to(one.dtype);
    const at::Tensor context = at::randn({one.batch, 77, config.context_width()}).to(one.dtype);
    const Bytes peak = measured([&] { unet(sample, 500, context, [] {}); });
    check_bound(unet_workspace(config, {one.batch, one.height, one.width}, 77, one.dtype), peak,
                one.is_large);
  }
}

TEST_CASE("a VAE's decoder holds no more than its bound") {
  const c10::InferenceMode inference;
  for (const ModelCase& one : cases()) {
    CAPTURE(one.model);
    const auto part = fakes::load_part(one.model, "vae", one.dtype);
    const VaeConfig config = read_vae_config(*part.component);
    const VaeDecoder decoder(part.view(), config);
    const std::int64_t h = one.height / 2, w = one.width / 2;
    const at::Tensor latent = at::randn({one.batch, 4, h, w}).to(one.dtype);
    const Bytes peak = measured([&] { decoder(latent, [] {}); });
    check_bound(vae_decode_workspace(config, {one.batch, h, w}, one.dtype), peak, one.is_large);
  }
}

TEST_CASE("a text encoder holds no more than its bound") {
  const c10::InferenceMode inference;
  for (const ModelCase& one : cases()) {
    CAPTURE(one.model);
    const auto part = fakes::load_part(one.model, "text_encoder", one.dtype);
    const ClipTextConfig config = read_clip_text_config(*part.component);
    const ClipText encoder(part.view(), config);
    const std::int64_t chunks = one.is_large ? 8 * one.batch : one.batch;
    const at::Tensor ids = at::ones({chunks, 77}, at::kLong);
    const Bytes peak = measured([&] { encoder(ids); });
    check_bound(clip_text_workspace(config, chunks, 77, one.dtype), peak, one.is_large);
  }
}

}  // namespace
}  // namespace emulsion::models
