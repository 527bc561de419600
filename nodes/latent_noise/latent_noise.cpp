#include <ATen/CPUGeneratorImpl.h>

#include <memory>

#include "emulsion/plugin.h"
#include "models/config_json.h"
#include "models/ops.h"

namespace emulsion {
namespace {

// Of a VAE: every level but the last halves the sides.
std::int64_t pixels_per_latent(const models::ConfigJson& vae) {
  const std::size_t levels = vae.wholes("block_out_channels").size();
  if (levels < 1 || levels > 8) vae.refuse("block_out_channels", "expected 1 to 8 levels");
  return std::int64_t{1} << (levels - 1);
}

class LatentNoise final : public Node {
 public:
  explicit LatentNoise(const Params& params)
      : seed_(params.get<std::int64_t>("seed")),
        batch_(params.get<std::int64_t>("batch")),
        width_(params.find<std::int64_t>("width")),
        height_(params.find<std::int64_t>("height")) {}

  Forecast forecast(const ForecastContext& context) const override {
    const TensorSpec latent{latent_shape(context), at::kFloat};
    return {.outputs = {{"latent", latent}}, .workspace = latent.bytes()};
  }

  void run(RunContext& context) const override {
    const at::Tensor& scale = context.bundle("schedule").at("initial_scale");
    std::vector<std::int64_t> shape = latent_shape(context);
    at::Tensor latent = at::empty(shape, at::kFloat);  // [B, C, h, w]
    shape[0] = 1;
    // A generator for each picture, so that a picture does not depend on its place in the batch.
    for (std::int64_t i = 0; i < batch_; ++i) {
      at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(
          static_cast<std::uint64_t>(seed_) + static_cast<std::uint64_t>(i));
      latent.narrow(0, i, 1).copy_(at::randn(shape, generator, at::kFloat));
      context.check_cancelled();
    }
    latent.mul_(*scale.const_data_ptr<double>());
    context.output("latent", std::move(latent));
  }

 private:
  // [B, C, h, w]; the context is of either kind.
  template <class Context>
  std::vector<std::int64_t> latent_shape(const Context& context) const {
    const models::ConfigJson unet(context.component("unet")), vae(context.component("vae"));
    const std::int64_t factor = pixels_per_latent(vae);
    const std::int64_t channels = unet.whole("in_channels", 4);
    if (channels < 1) unet.refuse("in_channels", "expected at least 1");
    const auto own = unet.per_level("sample_size", 2, 64);  // [h, w], or one number for both
    return {batch_, channels, side("height", height_.value_or(own[0] * factor), factor),
            side("width", width_.value_or(own[1] * factor), factor)};
  }

  static std::int64_t side(const char* name, std::int64_t pixels, std::int64_t factor) {
    if (pixels < factor || pixels % factor != 0)
      throw GraphError(str("'", name, "' is ", pixels, ": expected a multiple of ", factor,
                           "; take ", std::max(factor, (pixels + factor / 2) / factor * factor)));
    return pixels / factor;
  }

  std::int64_t seed_, batch_;
  std::optional<std::int64_t> width_, height_;
};

ParamSpec side_param(const std::string& name) {
  return {.name = name,
          .fallback = std::int64_t{512},
          .help = "Of the picture. Without it, what the model was trained for.",
          .optional = true,
          .min = 1,
          .max = 65536,
          .display_min = 256,
          .display_max = 2048,
          .unit = "pixels"};
}

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "latent_noise",
       .summary = "Draws the noise that pictures are made from.",
       .inputs = {{"schedule", port::kSchedule}},
       .outputs = {{"latent", port::kLatent}},
       .params = {{.name = "seed",
                   .fallback = std::int64_t{0},
                   .help = "Of the first picture; each further one takes the next number.",
                   .min = 0},
                  side_param("width"),
                  side_param("height"),
                  {.name = "batch",
                   .fallback = std::int64_t{1},
                   .help = "How many pictures.",
                   .min = 1,
                   .max = 4096,
                   .display_max = 16}},
       .slots = {{"unet", "Tells channels and size."},
                 {"vae", "Tells the size of a latent pixel."}},
       .runs_on = Home::Host,
       .create = [](const Params& params) { return std::make_unique<LatentNoise>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)
