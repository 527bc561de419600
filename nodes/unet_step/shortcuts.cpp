#include "shortcuts.h"

#include <functional>

#include "models/ops.h"

namespace emulsion {
namespace {

constexpr double kNoGuidance = 1;

// "1-4, 17"; from 1, as progress counts
std::string listed(std::int64_t count, const std::function<bool(std::int64_t)>& has) {
  std::string text;
  for (std::int64_t begin = 0; begin < count; ++begin) {
    if (!has(begin)) continue;
    std::int64_t end = begin + 1;
    while (end < count && has(end)) ++end;
    text += str(text.empty() ? "" : ", ", begin + 1);
    if (end > begin + 1) text += str("-", end);
    begin = end;
  }
  return text;
}

}  // namespace

LoopSpan span_of(const ForecastContext& context) {
  const BundleSpec& schedule = context.bundle("schedule");
  LoopSpan span;
  span.total = span.count = schedule.at("timesteps").count();
  if (context.has("iterations")) span.count = context.value<std::int64_t>("iterations");
  if (schedule.contains("first")) span.first = span.total - span.count;
  return span;
}

LoopSpan span_of(const RunContext& context) {
  const Bundle& schedule = context.bundle("schedule");
  LoopSpan span;
  span.total = schedule.at("timesteps").numel();
  if (const auto first = schedule.find("first"); first != schedule.end())
    span.first = static_cast<std::int64_t>(*first->second.const_data_ptr<double>());
  span.count = span.total - span.first;
  if (context.has("iterations")) span.count = context.value<std::int64_t>("iterations");
  return span;
}

std::vector<ParamSpec> shortcut_params() {
  return {{.name = "guidance_begin",
           .fallback = 0.0,
           .help = "The share of the schedule's steps that comes before guidance is "
                   "applied; a step without it takes half the time.",
           .min = 0.0,
           .max = 1.0},
          {.name = "guidance_end",
           .fallback = 1.0,
           .help = "The share of the schedule's steps after which guidance is no longer "
                   "applied.",
           .min = 0.0,
           .max = 1.0},
          {.name = "cache_interval",
           .fallback = std::int64_t{1},
           .help = "Every so many steps the whole UNet is evaluated; those between reuse "
                   "its deep features (DeepCache). 1: all are whole.",
           .min = 1,
           .display_max = 10},
          {.name = "cache_branch",
           .fallback = std::int64_t{0},
           .help = "Where the reused features meet the way up: at this skip connection, "
                   "0 is the outermost. Higher ones take longer and change less.",
           .min = 0,
           .display_max = 5},
          {.name = "skip_threshold",
           .fallback = 0.0,
           .help = "A step gives the result of the one before again where less than this "
                   "part of it is expected to change (EasyCache). 0: none does.",
           .min = 0.0,
           .max = 1.0,
           .display_max = 0.2},
          {.name = "merge_ratio",
           .fallback = 0.0,
           .help = "The share of tokens that are merged with others alike in the outermost "
                   "self-attention (token merging). 0: none are.",
           .min = 0.0,
           .max = 0.75}};
}

Shortcuts::Shortcuts(const Params& params)
    : guides_(params.get<double>("guidance") != kNoGuidance),
      guidance_begin_(params.get<double>("guidance_begin")),
      guidance_end_(params.get<double>("guidance_end")),
      cache_interval_(params.get<std::int64_t>("cache_interval")),
      cache_branch_(params.get<std::int64_t>("cache_branch")),
      skip_threshold_(params.get<double>("skip_threshold")),
      merge_ratio_(params.get<double>("merge_ratio")) {
  if (guidance_begin_ >= guidance_end_)
    throw GraphError(str("parameter 'guidance_begin': expected less than 'guidance_end', ",
                         guidance_end_, ", got ", guidance_begin_,
                         "; to leave guidance out altogether, set 'guidance' to 1"));
  if (caches() && skips())
    throw GraphError(
        str("parameters 'cache_interval' and 'skip_threshold': expected one of them, "
            "got ",
            cache_interval_, " and ", skip_threshold_, "; set the first to 1, or the second to 0"));
}

bool Shortcuts::guided(const LoopSpan& span, std::int64_t index) const {
  const auto total = static_cast<double>(span.total);
  const std::int64_t place = span.first + index;
  return guides_ && place >= std::llround(guidance_begin_ * total) &&
         place < std::llround(guidance_end_ * total);
}

StepKind Shortcuts::kind(const LoopSpan& span, std::int64_t index) const {
  StepKind kind{.guided = guided(span, index)};
  const bool begins = kind.guided && index > 0 && !guided(span, index - 1);
  kind.reuses = index % cache_interval_ != 0 && !begins;
  return kind;
}

bool Shortcuts::steady(const LoopSpan& span, std::int64_t index) const {
  return index > 0 && guided(span, index) == guided(span, index - 1);
}

bool Shortcuts::may_skip(const LoopSpan& span, std::int64_t index) const {
  return skips() && index >= 2 && index + 1 < span.count && steady(span, index);
}

std::map<StepKind, double> Shortcuts::shares(const LoopSpan& span) const {
  std::map<StepKind, double> shares;
  for (std::int64_t i = 0; i < span.count; ++i) ++shares[kind(span, i)];
  for (auto& [kind, share] : shares) share /= static_cast<double>(span.count);
  return shares;
}

std::string Shortcuts::told(const LoopSpan& span, const std::vector<bool>& skipped) const {
  const auto is_skipped = [&](std::int64_t i) {
    return !skipped.empty() && skipped[static_cast<std::size_t>(i)];
  };
  std::int64_t done = 0;
  for (std::int64_t i = 0; i < span.count; ++i)
    if (const StepKind step = kind(span, i); !step.reuses && !is_skipped(i))
      done += step.guided ? 2 : 1;
  std::string text = str(done, " of ", (guides_ ? 2 : 1) * span.count, " evaluations were whole");
  const auto add = [&](const char* what, const std::string& steps) {
    if (!steps.empty()) text += str("; ", what, " in steps ", steps);
  };
  add("no guidance", listed(span.count, [&](auto i) { return guides_ && !guided(span, i); }));
  add("deep features reused", listed(span.count, [&](auto i) { return kind(span, i).reuses; }));
  add("the result before taken", listed(span.count, is_skipped));
  if (merge_ratio_ > 0)
    text += str("; ", std::llround(merge_ratio_ * 100),
                " % of the outermost self-attention's tokens merged");
  return text;
}

}  // namespace emulsion
