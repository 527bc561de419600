// Darkens an image towards its corners, as a lens does.
#include <ATen/core/Tensor.h>
#include <ATen/ops/linspace.h>

#include "emulsion/plugin.h"

namespace emulsion {
namespace {

class Vignette final : public Node {
 public:
  explicit Vignette(const Params& params) : strength_(params.get<double>("strength")) {}

  Forecast forecast(const ForecastContext& context) const override {
    const TensorSpec& image = context.tensor("image");
    const std::int64_t H = image.shape[2], W = image.shape[3];
    return {.outputs = {{"image", image}},
            .workspace = TensorSpec{{3, H, W}}.bytes() + TensorSpec{{H + W}}.bytes()};
  }

  // The cos^4 law of natural vignetting: light falls to 1 / (1 + tan^2)^2 at an angle whose tangent
  // grows with the distance from the centre.
  void run(RunContext& context) const override {
    const at::Tensor& image = context.tensor("image");  // [B, 3, H, W]
    const auto squares = [&](std::int64_t count) {      // of -1..1, from border to border
      return at::linspace(-1, 1, count, image.options()).square_();
    };
    const at::Tensor y = squares(image.size(2)).unsqueeze(1);  // [H, 1]
    const at::Tensor x = squares(image.size(3));               // [W]
    // [H, W]; the corners, where x and y are 2 together, have tan^2 = strength
    const at::Tensor light = y.add(x).mul_(strength_ / 2).add_(1).square_().reciprocal_();
    context.output("image", image.mul(light));
  }

 private:
  double strength_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "vignette",
       .summary = "Darkens an image towards its corners.",
       .inputs = {{"image", port::kImage}},
       .outputs = {{"image", port::kImage}},
       .params = {{.name = "strength",
                   .fallback = 0.5,
                   .help = "0 leaves the image as it is; 1 takes the corners down to a quarter.",
                   .min = 0.0,
                   .max = 10.0,
                   .display_max = 2.0}},
       .create = [](const Params& params) { return std::make_unique<Vignette>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)
