#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "emulsion/node.h"

// Which steps of a loop leave out which evaluations of the UNet.  [any thread]
namespace emulsion {

// The steps of a schedule that a loop takes: `count` from `first` on, of `total`.
struct LoopSpan {
  std::int64_t first = 0, count = 0, total = 0;
};

// What the inputs 'schedule' and 'iterations' tell.  Without the latter a loop goes on to the
// schedule's end.
LoopSpan span_of(const ForecastContext& context);
LoopSpan span_of(const RunContext& context);

// What a step evaluates.
struct StepKind {
  bool guided = false;  // both conditions, else the positive one alone
  bool reuses = false;  // with the deep features of an earlier step

  auto operator<=>(const StepKind&) const = default;
};

// Of a node that takes shortcuts.
std::vector<ParamSpec> shortcut_params();

class Shortcuts {
 public:
  // Throws GraphError where parameters are at odds.
  explicit Shortcuts(const Params& params);

  bool any() const {
    return caches() || skips() || merge_ratio_ > 0 ||
           (guides_ && (guidance_begin_ > 0 || guidance_end_ < 1));
  }
  bool guides() const { return guides_; }  // in any step
  bool caches() const { return cache_interval_ > 1; }
  std::int64_t cache_branch() const { return cache_branch_; }
  bool skips() const { return skip_threshold_ > 0; }
  double skip_threshold() const { return skip_threshold_; }
  double merge_ratio() const { return merge_ratio_; }

  // Of the loop's step `index`.  Guidance is applied within an interval of the schedule alone
  // (Kynkaanniemi et al. 2024, arXiv 2404.07724).  Every so many steps, and where guidance begins,
  // all is evaluated; the steps between reuse deep features (DeepCache, Ma et al. 2023).
  StepKind kind(const LoopSpan& span, std::int64_t index) const;

  // True where the step before was of the same kind, so that the two can be compared.
  bool steady(const LoopSpan& span, std::int64_t index) const;
  // True where a step may be skipped, if little is expected to change: not the first two, which
  // tell a rate of change, nor the last, nor where guidance begins or ends.
  bool may_skip(const LoopSpan& span, std::int64_t index) const;

  // The kinds that occur in a loop, with the share of its steps that are of each.
  std::map<StepKind, double> shares(const LoopSpan& span) const;

  // One line: how many evaluations a loop did of how many, and which steps left some out.
  // `skipped` is by step, or empty.
  std::string told(const LoopSpan& span, const std::vector<bool>& skipped) const;

 private:
  bool guided(const LoopSpan& span, std::int64_t index) const;

  bool guides_;
  double guidance_begin_, guidance_end_;
  std::int64_t cache_interval_, cache_branch_;
  double skip_threshold_, merge_ratio_;
};

}  // namespace emulsion
