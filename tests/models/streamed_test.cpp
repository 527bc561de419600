#include "models/streamed.h"

#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include <algorithm>
#include <functional>
#include <set>

#include "fakes/reference.h"
#include "models/clip_text.h"
#include "models/unet.h"
#include "models/vae.h"
#include "models/vae_encoder.h"

namespace emulsion::models {
namespace {

using WeakStorage = c10::weak_intrusive_ptr<c10::StorageImpl>;

// Hands out copies of a set's tensors, one block at a time, and keeps account of the order.
class OneBlockStream final : public WeightStream {
 public:
  OneBlockStream(const WeightSet& source, const WeightUse& use) : source_(source), use_(use) {}

  at::Tensor fetch(const std::string& name) override {
    const auto block = std::ranges::find_if(
        use_.blocks, [&](const auto& names) { return std::ranges::count(names, name) > 0; });
    if (block == use_.blocks.end()) throw std::runtime_error("not in a block: " + name);
    begin(static_cast<std::size_t>(block - use_.blocks.begin()));
    const at::Tensor copy = source_.weights.find(name)->second.data.clone();
    handed_out_.push_back(copy.storage().getWeakStorageImpl());
    return copy;
  }

  std::vector<std::size_t> order;       // of the blocks, as they were fetched
  std::vector<std::string> overstayed;  // blocks that were in use when the next one began

 private:
  void begin(std::size_t block) {
    if (!order.empty() && order.back() == block) return;
    const auto is_alive = [](const WeakStorage& one) { return !one.expired(); };
    if (std::ranges::any_of(handed_out_, is_alive))
      overstayed.push_back(use_.blocks[order.back()].front());
    handed_out_.clear();
    order.push_back(block);
  }

  const WeightSet& source_;
  const WeightUse& use_;
  std::vector<WeakStorage> handed_out_;
};

struct StreamedSet {
  std::shared_ptr<OneBlockStream> stream;
  std::shared_ptr<const WeightSet> set;
};

// The lasting tensors with data, the others from a stream.
StreamedSet streamed_set(const WeightSet& source, const WeightUse& use) {
  StreamedSet result;
  result.stream = std::make_shared<OneBlockStream>(source, use);
  WeightSet set = source;
  for (const auto& block : use.blocks)
    for (const std::string& name : block) set.weights.find(name)->second.data = at::Tensor();
  set.stream = result.stream;
  result.set = std::make_shared<const WeightSet>(std::move(set));
  return result;
}

WeightUse use_by_forecast(const fakes::LoadedPart& part,
                          const std::function<void(const WeightView&)>& build) {
  const WeightView view(std::make_shared<const WeightSet>(part.header()));
  build(view);
  view.finish();
  return view.use();
}

// A model's part, how it is built and what it computes, as a function of the view.
struct ModelCase {
  std::string part;
  std::function<void(const WeightView&, const Component&)> build;
  std::function<std::vector<at::Tensor>(const WeightView&, const Component&)> run_twice;
};

using Tensors = std::map<std::string, at::Tensor>;

std::vector<ModelCase> cases(const Tensors& reference) {
  const Checkpoint go_on = [] {};
  const auto clip = [=](const WeightView& w, const Component& c) {
    return ClipText(w, read_clip_text_config(c));
  };
  const auto unet = [=](const WeightView& w, const Component& c) {
    return Unet(w, read_unet_config(c));
  };
  const auto decoder = [=](const WeightView& w, const Component& c) {
    return VaeDecoder(w, read_vae_config(c));
  };
  const auto encoder = [=](const WeightView& w, const Component& c) {
    return VaeEncoder(w, read_vae_config(c));
  };
  const auto twice = [](const auto& compute) { return std::vector{compute(), compute()}; };
  return {
      {"text_encoder", clip,
       [=](const WeightView& w, const Component& c) {
         const ClipText model = clip(w, c);
         return twice([&] { return model(reference.at("text.ids")).hidden; });
       }},
      {"unet", unet,
       [=](const WeightView& w, const Component& c) {
         const Unet model = unet(w, c);
         return twice([&] {
           return model(reference.at("unet.latent"), 500, reference.at("unet.hidden"), go_on);
         });
       }},
      {"vae", decoder,
       [=](const WeightView& w, const Component& c) {
         const VaeDecoder model = decoder(w, c);
         return twice([&] { return model(reference.at("vae.latent"), go_on); });
       }},
      {"vae", encoder,
       [=](const WeightView& w, const Component& c) {
         const VaeEncoder model = encoder(w, c);
         return twice([&] { return model(reference.at("vae.image"), go_on).mean; });
       }},
  };
}

// Calls `check` for each model and each of its parts.
void for_each_case(const std::function<void(const ModelCase&, const fakes::LoadedPart&)>& check) {
  for (const std::string name : fakes::kReferenceModels) {
    CAPTURE(name);
    for (const ModelCase& one : cases(fakes::reference_tensors(name))) {
      CAPTURE(one.part);
      check(one, fakes::load_part(fakes::reference_model(name), one.part));
    }
  }
}

TEST_CASE("every tensor of a model is lasting or in exactly one block, and no block is empty") {
  for_each_case([](const ModelCase& one, const fakes::LoadedPart& part) {
    const WeightUse use =
        use_by_forecast(part, [&](const WeightView& view) { one.build(view, *part.component); });
    std::multiset<std::string> names(use.lasting.begin(), use.lasting.end());
    for (const auto& block : use.blocks) {
      CHECK(!block.empty());
      names.insert(block.begin(), block.end());
    }
    CHECK(names.size() == std::set<std::string>(names.begin(), names.end()).size());
    CHECK(use.blocks.size() > 2);
  });
}

TEST_CASE("a streamed model holds one block at a time, in the forecast's order, pass by pass") {
  const c10::InferenceMode inference;
  for_each_case([](const ModelCase& one, const fakes::LoadedPart& part) {
    const WeightUse use =
        use_by_forecast(part, [&](const WeightView& view) { one.build(view, *part.component); });
    const StreamedSet streamed = streamed_set(*part.weights, use);
    one.run_twice(WeightView(streamed.set), *part.component);
    const std::size_t n = use.blocks.size();
    std::vector<std::size_t> want;
    for (std::size_t i = 0; i < 2 * n; ++i) want.push_back(i % n);
    CHECK(streamed.stream->order == want);
    CHECK(streamed.stream->overstayed == std::vector<std::string>{});
  });
}

TEST_CASE("a streamed model computes the same bits as a resident one") {
  const c10::InferenceMode inference;
  for_each_case([](const ModelCase& one, const fakes::LoadedPart& part) {
    const WeightUse use =
        use_by_forecast(part, [&](const WeightView& view) { one.build(view, *part.component); });
    const StreamedSet streamed = streamed_set(*part.weights, use);
    const auto want = one.run_twice(part.view(), *part.component);
    const auto got = one.run_twice(WeightView(streamed.set), *part.component);
    CHECK(got[0].equal(want[0]));
    CHECK(got[1].equal(want[0]));
  });
}

}  // namespace
}  // namespace emulsion::models
