#include "conditions.h"

#include "models/ops.h"

namespace emulsion::conditions {
namespace {

// Times that the states must be repeated, so that both conditions have as many tokens; 0 where no
// whole number does it.  Softmax over repeated keys and values gives what it gave before.
std::int64_t repeats(std::int64_t tokens, std::int64_t other) {
  if (tokens >= other) return 1;
  return other % tokens == 0 ? other / tokens : 0;
}

void check_added(const ForecastContext& context, const char* port,
                 const models::UnetConfig& config) {
  const BundleSpec& condition = context.bundle(port);
  const auto pooled = condition.find("pooled"), ids = condition.find("time_ids");
  if (pooled == condition.end() || ids == condition.end())
    throw GraphError(str("input '", port, "': expected {hidden, pooled, time_ids}, got ",
                         to_text(ValueSpec(condition)),
                         "; a UNet of SDXL needs a condition of 'sdxl_condition'"));
  const std::int64_t sizes = ids->second.shape[1], width = pooled->second.shape[1];
  if (width + sizes * config.size_width != config.added_width)
    throw WeightError(str("input '", port, "': a pooled state of ", width, " and ", sizes,
                          " sizes of ", config.size_width, " make ",
                          width + sizes * config.size_width, ": expected ", config.added_width,
                          "; base models take six sizes, refiners five with an aesthetic score"));
}

}  // namespace

bool can_batch(std::int64_t negative, std::int64_t positive) {
  return repeats(negative, positive) > 0 && repeats(positive, negative) > 0;
}

std::int64_t tokens_of(const ForecastContext& context, const char* port,
                       const models::UnetConfig& config) {
  if (!context.has(port))
    throw GraphError(str("input '", port,
                         "': expected a condition, got none; connect it, or set "
                         "'guidance' to 1"));
  const std::vector<std::int64_t>& hidden = context.bundle(port).at("hidden").shape;  // [1, S, D]
  if (config.context_width() != 0 && hidden[2] != config.context_width())
    throw WeightError(str("input '", port, "': expected states of width ", config.context_width(),
                          ", got ", hidden[2],
                          "; the text encoder and the UNet belong to different models"));
  if (config.added_width != 0) check_added(context, port, config);
  return hidden[1];
}

Bytes bytes(const ForecastContext& context, const models::UnetConfig& config, std::int64_t tokens) {
  return 2 * TensorSpec{{2, tokens, config.context_width()}, context.dtype()}.bytes();
}

models::UnetCondition condition_of(const RunContext& context, const char* port) {
  const Bundle& bundle = context.bundle(port);
  models::UnetCondition condition(bundle.at("hidden").to(context.dtype()));
  if (!bundle.contains("time_ids")) return condition;
  condition.pooled = bundle.at("pooled").to(context.dtype());
  condition.time_ids = bundle.at("time_ids");
  return condition;
}

std::int64_t tokens_of(const models::UnetCondition& condition) {
  return condition.context.states.size(1);
}

models::UnetCondition batched(const models::UnetCondition& negative,
                              const models::UnetCondition& positive, std::int64_t batch) {
  const std::int64_t without = tokens_of(negative), with = tokens_of(positive);
  const auto spread = [](const models::UnetCondition& condition, std::int64_t times) {
    return condition.context.states.repeat({1, times, 1});
  };
  const auto rows = [&](const at::Tensor& first, const at::Tensor& second) {
    return at::cat({first.expand({batch, -1}), second.expand({batch, -1})});
  };
  models::UnetCondition both(at::cat(
      {spread(negative, repeats(without, with)), spread(positive, repeats(with, without))}));
  if (!positive.pooled.defined()) return both;
  both.pooled = rows(negative.pooled, positive.pooled);
  both.time_ids = rows(negative.time_ids, positive.time_ids);
  return both;
}

}  // namespace emulsion::conditions
