#include "models/deep_features.h"

#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include <set>

#include "emulsion/errors.h"
#include "fakes/reference.h"
#include "models/unet.h"

namespace emulsion::models {
namespace {

const Checkpoint kGoOn = [] {};

struct LoadedUnet {
  fakes::LoadedPart part;
  UnetConfig config;
  Unet unet;

  explicit LoadedUnet(const std::string& model)
      : part(fakes::load_part(fakes::reference_model(model), "unet")),
        config(read_unet_config(*part.component)),
        unet(part.view(), config) {}

  std::int64_t branches() const {
    std::int64_t units = 0;
    for (const UnetConfig::Level& level : config.up) units += level.layers;
    return units;
  }
};

// Notes which tensors are asked for.
class NotingStream final : public WeightStream {
 public:
  explicit NotingStream(const WeightSet& source) : source_(source) {}

  at::Tensor fetch(const std::string& name) override {
    fetched.insert(name);
    return source_.weights.find(name)->second.data;
  }

  std::set<std::string> fetched;

 private:
  const WeightSet& source_;
};

TEST_CASE("features of the same sample give the prediction that they come from, at every branch") {
  const c10::InferenceMode inference;
  for (const std::string name : fakes::kReferenceModels) {
    CAPTURE(name);
    const LoadedUnet loaded(name);
    const at::Tensor sample = at::randn({2, 4, 9, 15});
    const at::Tensor context = at::randn({2, 7, loaded.config.context_width()});
    const at::Tensor whole = loaded.unet(sample, 500, context, kGoOn);
    for (std::int64_t branch = 0; branch < loaded.branches(); ++branch) {
      CAPTURE(branch);
      DeepFeatures deep{.branch = branch, .map = {}};
      CHECK(loaded.unet(sample, 500, context, kGoOn, &deep).equal(whole));
      const TensorSpec spec = deep_features_spec(loaded.config, {2, 9, 15}, branch, at::kFloat);
      CHECK(shape_text(deep.map.sizes()) == shape_text(spec.shape));
      CHECK(fakes::distance(loaded.unet(sample, 500, context, kGoOn, &deep), whole) < 1e-5);
    }
  }
}

TEST_CASE("the share outside of the features is that of the blocks' bytes that are asked for") {
  const c10::InferenceMode inference;
  for (const std::string name : fakes::kReferenceModels) {
    const LoadedUnet loaded(name);
    const WeightView header(std::make_shared<const WeightSet>(loaded.part.header()));
    const Unet checked(header, loaded.config);
    WeightSet set = *loaded.part.weights;
    std::map<std::string, double> bytes;
    double all = 0;
    for (const auto& block : header.use().blocks)
      for (const std::string& tensor : block) {
        all += bytes[tensor] = static_cast<double>(header.find(tensor)->bytes());
        set.weights.find(tensor)->second.data = at::Tensor();
      }
    for (std::int64_t branch = 0; branch < loaded.branches(); ++branch) {
      CAPTURE(name);
      CAPTURE(branch);
      const auto stream = std::make_shared<NotingStream>(*loaded.part.weights);
      set.stream = stream;
      const Unet unet(WeightView(std::make_shared<const WeightSet>(set)), loaded.config);
      const TensorSpec spec = deep_features_spec(loaded.config, {1, 8, 8}, branch, at::kFloat);
      DeepFeatures deep{.branch = branch, .map = at::randn(spec.shape)};
      unet(at::randn({1, 4, 8, 8}), 500, at::randn({1, 7, loaded.config.context_width()}), kGoOn,
           &deep);
      double outside = 0;
      for (const std::string& tensor : stream->fetched) outside += bytes[tensor];
      CHECK(share_outside(loaded.config, header, branch) == doctest::Approx(outside / all));
    }
  }
}

TEST_CASE("a branch that a UNet does not have is refused") {
  const LoadedUnet loaded("sd15_like");
  CHECK_THROWS_WITH_AS(deep_features_spec(loaded.config, {1, 8, 8}, 6, at::kFloat),
                       "parameter 'cache_branch': expected at most 5, the innermost skip "
                       "connection of this UNet, got 6",
                       GraphError);
}

}  // namespace
}  // namespace emulsion::models
