#include "models/cost.h"

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

#include "fakes/branches.h"
#include "fakes/reference.h"
#include "models/clip_text.h"
#include "models/unet.h"
#include "models/vae.h"
#include "models/vae_encoder.h"

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
void check_bound(const Cost& cost, Bytes peak, bool is_large) {
  const Bytes bound = cost.workspace + cost.cpu_workspace;
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

std::ostream& operator<<(std::ostream& out, const ModelCase& one) {
  return out << one.model << ", " << one.batch << " of " << one.height << "x" << one.width << ", "
             << one.dtype;
}

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
    CAPTURE(one);
    const auto part = fakes::load_part(one.model, "unet", one.dtype);
    const UnetConfig config = read_unet_config(*part.component);
    const Unet unet(part.view(), config);
    const at::Tensor sample = at::randn({one.batch, 4, one.height, one.width}).to(one.dtype);
    const at::Tensor context = at::randn({one.batch, 77, config.context_width()}).to(one.dtype);
    const Bytes peak = measured([&] { unet(sample, 500, context, [] {}); });
    check_bound(unet_cost(config, {one.batch, one.height, one.width}, 77, one.dtype), peak,
                one.is_large);
  }
}

TEST_CASE("a UNet with branches holds no more than its bound, which their ranks raise") {
  const c10::InferenceMode inference;
  for (const ModelCase& one : cases()) {
    CAPTURE(one);
    const auto part = fakes::load_part(one.model, "unet", one.dtype);
    const UnetConfig config = read_unet_config(*part.component);
    const WeightView view(fakes::with_random_branches(*part.weights, 16));
    const Unet unet(view, config);
    const at::Tensor sample = at::randn({one.batch, 4, one.height, one.width}).to(one.dtype);
    const at::Tensor context = at::randn({one.batch, 77, config.context_width()}).to(one.dtype);
    const Bytes peak = measured([&] { unet(sample, 500, context, [] {}); });
    const MapBatch latent{one.batch, one.height, one.width};
    const Cost cost = unet_cost(config, latent, 77, one.dtype, branch_load(view));
    const Cost without = unet_cost(config, latent, 77, one.dtype);
    check_bound(cost, peak, one.is_large);
    CHECK(cost.workspace > without.workspace);
    CHECK(cost.work.product > without.work.product);
    CHECK(cost.work.convolution > without.work.convolution);
    CHECK(cost.work.traffic > without.work.traffic);
  }
}

// Of one evaluation with random inputs.
Bytes unet_peak(const ModelCase& one, DeepFeatures* deep, const TokenMerging& merging) {
  const auto part = fakes::load_part(one.model, "unet", one.dtype);
  const UnetConfig config = read_unet_config(*part.component);
  const Unet unet(part.view(), config);
  const at::Tensor sample = at::randn({one.batch, 4, one.height, one.width}).to(one.dtype);
  const at::Tensor context = at::randn({one.batch, 77, config.context_width()}).to(one.dtype);
  const Checkpoint go_on = [] {};
  return measured([&] { unet(sample, 500, context, go_on, deep, merging); });
}

TEST_CASE("a UNet outside of given features holds no more than its bound, and does less") {
  const c10::InferenceMode inference;
  for (const ModelCase& one : cases()) {
    CAPTURE(one);
    const auto part = fakes::load_part(one.model, "unet", one.dtype);
    const UnetConfig config = read_unet_config(*part.component);
    const MapBatch latent{one.batch, one.height, one.width};
    Work inner = unet_cost(config, latent, 77, one.dtype).work;
    for (const std::int64_t branch : {4, 1, 0}) {
      CAPTURE(branch);
      const TensorSpec spec = deep_features_spec(config, latent, branch, one.dtype);
      DeepFeatures deep{.branch = branch, .map = at::randn(spec.shape).to(one.dtype)};
      deep.map = in_map_layout(deep.map);
      const UnetShortcuts shortcuts{.outside = branch, .merge_ratio = 0};
      const Cost cost = unet_cost(config, latent, 77, one.dtype, {}, shortcuts);
      check_bound(cost, unet_peak(one, &deep, {}), one.is_large);
      CHECK(cost.work.convolution < inner.convolution);
      inner = cost.work;
    }
  }
}

TEST_CASE("a UNet that merges tokens holds no more than its bound, and attends less") {
  const c10::InferenceMode inference;
  for (const ModelCase& one : cases()) {
    CAPTURE(one);
    const auto part = fakes::load_part(one.model, "unet", one.dtype);
    const UnetConfig config = read_unet_config(*part.component);
    const MapBatch latent{one.batch, one.height, one.width};
    const UnetShortcuts shortcuts{.outside = {}, .merge_ratio = 0.5};
    const Cost cost = unet_cost(config, latent, 77, one.dtype, {}, shortcuts);
    check_bound(cost, unet_peak(one, nullptr, {.ratio = 0.5}), one.is_large);
    CHECK(cost.work.attention < unet_cost(config, latent, 77, one.dtype).work.attention);
  }
}

TEST_CASE("a UNet with packed weights holds no more than its bound, which unpacking raises") {
  const c10::InferenceMode inference;
  for (const ModelCase& one : cases()) {
    CAPTURE(one);
    const UnetConfig config =
        read_unet_config(*fakes::load_part(one.model, "unet", one.dtype).component);
    const auto part = fakes::load_packed_part<Unet>(one.model, "unet", one.dtype, config);
    const WeightView view = part.view();
    const Unet unet(view, config);
    const at::Tensor sample = at::randn({one.batch, 4, one.height, one.width}).to(one.dtype);
    const at::Tensor context = at::randn({one.batch, 77, config.context_width()}).to(one.dtype);
    const Bytes peak = measured([&] { unet(sample, 500, context, [] {}); });
    const MapBatch latent{one.batch, one.height, one.width};
    const Cost cost = unet_cost(config, latent, 77, one.dtype, branch_load(view));
    check_bound(cost, peak, one.is_large);
    CHECK(cost.work.traffic > unet_cost(config, latent, 77, one.dtype).work.traffic);
  }
}

TEST_CASE("a VAE's decoder holds no more than its bound") {
  const c10::InferenceMode inference;
  for (const ModelCase& one : cases()) {
    CAPTURE(one);
    const auto part = fakes::load_part(one.model, "vae", one.dtype);
    const VaeConfig config = read_vae_config(*part.component);
    const VaeDecoder decoder(part.view(), config);
    const std::int64_t h = one.height / 2, w = one.width / 2;
    const at::Tensor latent = at::randn({one.batch, 4, h, w}).to(one.dtype);
    const Bytes peak = measured([&] { decoder(latent, [] {}); });
    check_bound(vae_decode_cost(config, {one.batch, h, w}, one.dtype), peak, one.is_large);
  }
}

TEST_CASE("a VAE's encoder holds no more than its bound") {
  const c10::InferenceMode inference;
  for (const ModelCase& one : cases()) {
    CAPTURE(one);
    const auto part = fakes::load_part(one.model, "vae", one.dtype);
    const VaeConfig config = read_vae_config(*part.component);
    const VaeEncoder encoder(part.view(), config);
    const std::int64_t H = one.height * config.upscale() / 4, W = one.width * config.upscale() / 4;
    const std::int64_t side = config.upscale();
    const MapBatch map{one.batch, (H + side - 1) / side * side, (W + side - 1) / side * side};
    const at::Tensor image = at::randn({map.batch, 3, map.height, map.width}).to(one.dtype);
    const Bytes peak = measured([&] { encoder(image, [] {}); });
    check_bound(vae_encode_cost(config, map, one.dtype), peak, one.is_large);
  }
}

TEST_CASE("a text encoder holds no more than its bound") {
  const c10::InferenceMode inference;
  for (const ModelCase& one : cases()) {
    CAPTURE(one);
    const auto part = fakes::load_part(one.model, "text_encoder", one.dtype);
    const ClipTextConfig config = read_clip_text_config(*part.component);
    const ClipText encoder(part.view(), config);
    const std::int64_t chunks = one.is_large ? 8 * one.batch : one.batch;
    const at::Tensor ids = at::ones({chunks, 77}, at::kLong);
    const Bytes peak = measured([&] { encoder(ids); });
    check_bound(clip_text_cost(config, chunks, 77, one.dtype), peak, one.is_large);
  }
}

TEST_CASE("a UNet of Stable Diffusion 2.1's size takes 0.68 TFLOP at 512 pixels, and attention") {
  UnetConfig config;
  config.in_channels = config.out_channels = 4;
  config.conv_in_kernel = config.conv_out_kernel = 3;
  config.downsample_padding = 1;
  config.time_width = 1280;
  const auto level = [](std::int64_t channels, std::int64_t layers, std::int64_t transformers) {
    return UnetConfig::Level{.channels = channels,
                             .layers = layers,
                             .transformer_layers = transformers,
                             .heads = channels / 64,
                             .context_width = 1024};
  };
  config.down = {level(320, 2, 1), level(640, 2, 1), level(1280, 2, 1), level(1280, 2, 0)};
  config.up = {level(1280, 3, 0), level(1280, 3, 1), level(640, 3, 1), level(320, 3, 1)};
  config.middle = level(1280, 2, 1);
  const Work work = unet_cost(config, {1, 64, 64}, 77, at::kFloat).work;
  // 0.34 T multiply-adds is what counters of layers give, which do not see attention's products.
  CHECK(work.convolution + work.product == doctest::Approx(0.68e12).epsilon(0.02));
  // Two products of each transformer: by channels, transformers, positions.
  double attention = 0;
  for (const auto& [C, n, L] :
       {std::tuple{320.0, 5, 4096.0}, {640.0, 5, 1024.0}, {1280.0, 5, 256.0}, {1280.0, 1, 64.0}})
    attention += 2 * n * 2 * C * L * (L + 77);
  CHECK(work.attention == attention);
  const Work batch = unet_cost(config, {2, 64, 64}, 77, at::kBFloat16).work;
  CHECK(batch.convolution == 2 * work.convolution);
  // Both samples share the products of the time embedding.
  CHECK(batch.product < 2 * work.product);
  CHECK(batch.product == doctest::Approx(2 * work.product).epsilon(0.001));
  CHECK(batch.attention == 2 * work.attention);
  CHECK(batch.traffic == work.traffic);  // twice as many values of half the size
}

TEST_CASE("the work of a text encoder is what its layers' shapes multiply out to") {
  const ClipTextConfig config{.vocabulary = 100,
                              .width = 6,
                              .feed_forward_width = 10,
                              .layers = 2,
                              .heads = 2,
                              .max_tokens = 5,
                              .activation = Activation::Gelu};
  const Work work = clip_text_cost(config, 3, 5, at::kFloat).work;
  const double tokens = 3 * 5, layers = 2;
  CHECK(work.product == 2 * layers * tokens * (4 * 6 * 6 + 2 * 6 * 10));
  CHECK(work.attention == 2 * layers * 2 * (3 * 5 * 5 * 6));
  CHECK(work.convolution == 0);
  // Norms read twice and write; adds read two and write one; gelu, and the table's rows.
  const double values =
      tokens * (2 * 6 + 3 * 6 + layers * (2 * 3 * 6 + 2 * 3 * 6 + 2 * 10) + 3 * 6);
  CHECK(work.traffic == 4 * values);
}

TEST_CASE("the convolutions of a VAE's decoder are counted at the size that each works on") {
  const VaeConfig config{.latent_channels = 4,
                         .channels = {2, 3},
                         .layers = 0,
                         .norm = {.groups = 1},
                         .has_post_quant_conv = false,
                         .middle_attention = false};
  const Work work = vae_decode_cost(config, {1, 5, 7}, at::kFloat).work;
  const double small = 35, large = 4 * 35;
  const double inner = 4 * 3 * 9 + 6 * (3 * 3 * 9), upsampler = 3 * 3 * 9;
  const double outer = 3 * 2 * 9 + 2 * 2 * 9 + 3 * 2 + 2 * 3 * 9;
  CHECK(work.convolution == 2 * (small * inner + large * (upsampler + outer)));
  CHECK(work.product == 0);
}

}  // namespace
}  // namespace emulsion::models
