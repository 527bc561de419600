#include "plan/plan_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>

#include "emulsion/str.h"

namespace emulsion {
namespace {

constexpr std::int64_t kMostIterations = 60;  // that are drawn one by one
constexpr Bytes kWorthPart = 50;              // of a budget: less than that is not shown

class ChartMaker {
 public:
  ChartMaker(const ExecutionPlan& plan, const Graph& graph)
      : plan_(plan), graph_(graph), weights_(plan.devices.size()), charts_(plan.devices.size()) {
    for (std::size_t i = 0; i < charts_.size(); ++i)
      charts_[i].device = DeviceId{static_cast<std::uint32_t>(i)};
  }

  std::vector<DeviceChart> make() {
    for (const Step& step : plan_.steps) std::visit([&](const auto& s) { add(s); }, step);
    return std::move(charts_);
  }

 private:
  Bytes weights_on(std::size_t device) const {
    Bytes sum = 0;
    for (const auto& [component, held] : weights_[device]) sum += held;
    return sum;
  }

  // Time goes on for all devices; on `device`, `peak` bytes are used in the meantime.
  void advance(double seconds, DeviceId device, Bytes peak, const std::string& what) {
    const double begin = now_;
    now_ += seconds * times_;
    if (now_ <= begin) return;
    for (std::size_t i = 0; i < charts_.size(); ++i) {
      const bool works = i == index(device);
      const Bytes weights = weights_on(i);
      extend(charts_[i].spans, {begin, now_, weights,
                                works ? std::max<Bytes>(0, peak - weights) : 0, works ? what : ""});
    }
  }

  static void extend(std::vector<MemorySpan>& spans, const MemorySpan& span) {
    const bool same = !spans.empty() && spans.back().what == span.what &&
                      spans.back().weights == span.weights && spans.back().others == span.others;
    if (same)
      spans.back().end = span.end;
    else
      spans.push_back(span);
  }

  void label(DeviceId device, double begin, const std::string& text) {
    if (!in_loop_ && now_ > begin) charts_[index(device)].labels.push_back({begin, now_, text});
  }

  void add(const LoadWeights& s) {
    const double begin = now_;
    const std::string& name = graph_.component(s.component).name;
    weights_[index(s.device)][s.component] = s.held;
    advance(s.seconds, s.device, 0, "load " + name);
    label(s.device, begin, "+ " + name);
  }
  void add(const EvictWeights& s) { weights_[index(s.device)].erase(s.component); }
  void add(const CopyValue& s) { advance(s.seconds, s.to, s.bytes, ""); }
  void add(const FreeValue&) {}
  void add(const BindValues&) {}
  void add(const TrimMemory&) {}

  void add(const RunNode& s) {
    const double begin = now_;
    advance(s.seconds, s.device, s.peak, graph_.node(s.node).name);
    label(s.device, begin, graph_.node(s.node).name);
    worked_.push_back(s.device);
  }

  void add(const RunLoop& s) {
    const double begin = now_;
    const std::int64_t count = s.iterations.value_or(s.first + 1) - s.first;
    const std::int64_t drawn = std::min(count, kMostIterations);
    worked_.clear();
    in_loop_ = true;
    times_ = static_cast<double>(count) / static_cast<double>(std::max<std::int64_t>(1, drawn));
    for (std::int64_t i = 0; i < drawn; ++i)
      for (const Step& step : s.body) std::visit([&](const auto& inner) { add(inner); }, step);
    times_ = 1;
    in_loop_ = false;
    std::ranges::sort(worked_);
    worked_.erase(std::unique(worked_.begin(), worked_.end()), worked_.end());
    const std::string text = graph_.loop(s.loop).name + (s.iterations ? str(" x ", count) : " x ?");
    for (const DeviceId device : worked_) label(device, begin, text);
  }

  const ExecutionPlan& plan_;
  const Graph& graph_;
  std::vector<std::map<ComponentId, Bytes>> weights_;  // by DeviceId
  std::vector<DeviceChart> charts_;
  std::vector<DeviceId> worked_;  // devices of the loop's nodes
  double now_ = 0, times_ = 1;
  bool in_loop_ = false;
};

}  // namespace

std::vector<DeviceChart> charts_of(const ExecutionPlan& plan, const Graph& graph) {
  return ChartMaker(plan, graph).make();
}

bool is_worth_a_look(const DeviceChart& chart, const DevicePlan& device) {
  const auto counts = [&](const MemorySpan& span) {
    return span.weights > 0 || span.bytes() >= device.budget.capacity / kWorthPart;
  };
  return std::ranges::any_of(chart.spans, counts);
}

std::string seconds_text(double seconds) {
  std::array<char, 48> text{};
  if (seconds >= 120) {
    const long long whole = std::llround(seconds);
    std::snprintf(text.data(), text.size(), "%lld min %02lld s", whole / 60, whole % 60);
  } else {
    const int decimals = seconds >= 100 ? 0 : seconds >= 10 ? 1 : seconds >= 0.1 ? 2 : 3;
    std::snprintf(text.data(), text.size(), "%.*f s", decimals, seconds);
  }
  return text.data();
}

}  // namespace emulsion
