#include "evaluation.h"

#include "conditions.h"
#include "models/ops.h"

namespace emulsion {
namespace {

const char* const kNegative = "negative";
const char* const kPositive = "positive";

// "Common Diffusion Noise Schedules and Sample Steps are Flawed" (Lin et al. 2023), section 3.4:
// guidance makes pictures too bright; each sample goes the share `amount` of the way to the spread
// that it has without guidance.  [B, C, h, w] each, in place
void rescale_(at::Tensor& guided, const at::Tensor& positive, double amount) {
  const auto spread = [](const at::Tensor& x) { return x.std({1, 2, 3}, true, true); };
  const at::Tensor ratio = spread(positive).div_(spread(guided));  // [B, 1, 1, 1]
  guided.mul_(ratio.mul_(amount).add_(1 - amount));
}

}  // namespace

bool batches(const std::string& variant, std::int64_t negative, std::int64_t positive) {
  return variant == kBatched && conditions::can_batch(negative, positive);
}

at::Tensor Evaluation::operator()(const at::Tensor& sample) const {
  if (context_.variant() != kOneByOne) return predict(sample, 0);
  at::Tensor predictions = at::empty(sample.sizes(), sample.options().dtype(at::kFloat));
  for (std::int64_t i = 0; i < sample.size(0); ++i)
    predictions.narrow(0, i, 1).copy_(predict(sample.narrow(0, i, 1), i));
  return predictions;
}

at::Tensor Evaluation::predict(const at::Tensor& sample, std::int64_t first) const {
  if (options_.guidance.scale != 1) return guided(sample, first);
  return evaluate(sample, conditions::condition_of(context_, kPositive), {kPositive}, first);
}

// Classifier-free guidance (Ho & Salimans 2022, equation 6) on the prediction.
at::Tensor Evaluation::guided(const at::Tensor& sample, std::int64_t first) const {
  const models::UnetCondition negative = conditions::condition_of(context_, kNegative);
  const models::UnetCondition positive = conditions::condition_of(context_, kPositive);
  at::Tensor without, with;
  if (batches(context_.variant(), conditions::tokens_of(negative),
              conditions::tokens_of(positive))) {
    const at::Tensor both =
        evaluate(at::cat({sample, sample}), conditions::batched(negative, positive, sample.size(0)),
                 {kNegative, kPositive}, first);
    const std::vector<at::Tensor> halves = both.chunk(2);
    without = halves[0], with = halves[1];
  } else {
    without = evaluate(sample, negative, {kNegative}, first);
    with = evaluate(sample, positive, {kPositive}, first);
  }
  at::Tensor guided = with.sub(without).mul_(options_.guidance.scale).add_(without);
  if (options_.guidance.rescale > 0) rescale_(guided, with, options_.guidance.rescale);
  return guided;
}

// A condition for each port -> float32 and the caller's own
at::Tensor Evaluation::evaluate(const at::Tensor& sample, models::UnetCondition condition,
                                const Ports& ports, std::int64_t first) const {
  const auto checkpoint = [&] { context_.check_cancelled(); };
  condition.context.made = made_of(ports);
  KeptFeatures* const all = options_.kept;
  models::DeepFeatures deep;
  if (all != nullptr) deep.branch = all->branch;
  if (all != nullptr && all->reuses)
    deep.map = kept_map(ports, first, sample.size(0) / static_cast<std::int64_t>(ports.size()));
  const at::Tensor prediction = unet_(sample, options_.timestep, condition, checkpoint,
                                      all != nullptr ? &deep : nullptr, options_.merging);
  if (all != nullptr && !all->reuses) keep(deep.map, ports, first);
  return prediction.to(at::kFloat);
}

// What the UNet's layers made of these conditions in steps before, if they are still the same.
Bundle* Evaluation::made_of(const Ports& ports) const {
  if (options_.memo == nullptr) return nullptr;
  std::string name;
  Bundle conditions;
  for (const char* port : ports) {
    name.append(name.empty() ? "" : " ").append(port);
    conditions.emplace(port, context_.bundle(port).at("hidden"));
  }
  Bundle& made = (*options_.memo)[name];
  for (const auto& [port, hidden] : conditions)
    if (!made[port].is_same(hidden)) made = conditions;
  return &made;
}

at::Tensor Evaluation::kept_map(const Ports& ports, std::int64_t first, std::int64_t count) const {
  std::vector<at::Tensor> parts;
  for (const char* port : ports)
    parts.push_back(options_.kept->maps.at(port).narrow(0, first, count));
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

// Each condition's is a tensor of its own, since what leaves the node owns its storage.
void Evaluation::keep(const at::Tensor& map, const Ports& ports, std::int64_t first) const {
  const std::int64_t pictures = context_.tensor("latent").size(0);
  const std::vector<at::Tensor> parts = map.chunk(static_cast<std::int64_t>(ports.size()));
  for (std::size_t i = 0; i < ports.size(); ++i) {
    const at::Tensor& part = parts[i];
    at::Tensor& kept = options_.kept->maps[ports[i]];
    if (part.size(0) == pictures) {
      kept = ports.size() == 1 ? part : part.clone();
      continue;
    }
    std::vector<std::int64_t> shape = part.sizes().vec();
    shape[0] = pictures;
    if (!kept.defined()) kept = at::empty(shape, part.options(), part.suggest_memory_format());
    kept.narrow(0, first, part.size(0)).copy_(part);
  }
}

}  // namespace emulsion
