#include <algorithm>
#include <cmath>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <sstream>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "emulsion/value.h"
#include "plan/plan_chart.h"
#include "plan/plan_views.h"

namespace emulsion {
namespace {

// What a run measured, in seconds since its start.
struct Measured {
  std::string device, what;
  double begin = 0, end = 0;
  Bytes peak = 0;
};

std::vector<Measured> trace_of(std::string_view report_json) {
  std::vector<Measured> trace;
  if (report_json.empty()) return trace;
  try {
    const auto report = nlohmann::json::parse(report_json);
    for (const auto& entry : report.at("trace"))
      trace.push_back({entry.at("device"), entry.at("what"), entry.at("begin"), entry.at("end"),
                       entry.at("peak_bytes")});
  } catch (const nlohmann::json::exception&) {
    throw GraphError(
        "--report: expected what `emulsion run --report` writes, with a 'trace' of the run");
  }
  std::ranges::stable_sort(trace, {}, &Measured::begin);
  return trace;
}

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char c : text) {
    if (c == '&')
      safe += "&amp;";
    else if (c == '<')
      safe += "&lt;";
    else if (c == '"')
      safe += "&quot;";
    else
      safe += c;
  }
  return safe;
}

constexpr std::string_view kStyle = R"(<style>
text { font: 12px system-ui, sans-serif; fill: #333; }
.title { font-weight: 600; font-size: 14px; }
.small { font-size: 11px; fill: #666; }
.paper { fill: #fff; }
.weights { fill: #4878b0; }
.others { fill: #e2a23b; }
.axis { stroke: #999; fill: none; }
.budget { stroke: #c0392b; stroke-dasharray: 6 4; fill: none; }
.measured { stroke: #1a1a1a; stroke-width: 1.5; fill: none; }
.tick { stroke: #ddd; }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd; }
  .small { fill: #aaa; }
  .paper { fill: #1b1d21; }
  .weights { fill: #5b8fd0; }
  .others { fill: #d89a3a; }
  .axis { stroke: #777; }
  .budget { stroke: #ff7a6b; }
  .measured { stroke: #fff; }
  .tick { stroke: #333; }
}
</style>
)";

// Panels from top to bottom, one a device; time goes right, memory up.  Lengths are in pixels.
class SvgWriter {
 public:
  SvgWriter(const ExecutionPlan& plan, const Graph& graph, std::vector<Measured> trace)
      : plan_(plan), graph_(graph), trace_(std::move(trace)) {
    for (DeviceChart& chart : charts_of(plan, graph))
      if (is_worth_a_look(chart, plan.devices[index(chart.device)]))
        charts_.push_back(std::move(chart));
    for (const DeviceChart& chart : charts_) seconds_ = std::max(seconds_, chart.spans.back().end);
    for (const Measured& measured : trace_) seconds_ = std::max(seconds_, measured.end);
    svg_ << std::fixed << std::setprecision(1);
  }

  std::string write() {
    const double height = kTop + static_cast<double>(charts_.size()) * kPitch + kBottom;
    svg_ << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << kWidth << ' ' << height
         << "\" width=\"" << kWidth << "\" height=\"" << height << "\">\n"
         << kStyle << "<rect class=\"paper\" width=\"" << kWidth << "\" height=\"" << height
         << "\"/>\n";
    text(kLeft, 24, "title",
         str(graph_.name, ", ", dtype_text(plan_.dtype), ", profile ", plan_.profile, ": ",
             seconds_text(plan_.seconds), " predicted"));
    write_legend();
    for (std::size_t i = 0; i < charts_.size(); ++i)
      write_panel(charts_[i], kTop + static_cast<double>(i) * kPitch);
    svg_ << "</svg>\n";
    return svg_.str();
  }

 private:
  static constexpr double kWidth = 960, kLeft = 80, kRight = 24, kTop = 64, kBottom = 12;
  static constexpr double kPanel = 170, kHead = 26, kFoot = 40, kPitch = kHead + kPanel + kFoot;
  static constexpr double kPlot = kWidth - kLeft - kRight;
  static constexpr double kLetter = 6.4;  // about the width of a letter
  static constexpr double kFewestTicks = 4;

  double x(double seconds) const { return kLeft + kPlot * seconds / seconds_; }

  void text(double at, double base, const char* kind, const std::string& words,
            const char* anchor = "start") {
    svg_ << "<text x=\"" << at << "\" y=\"" << base << "\" class=\"" << kind << "\" text-anchor=\""
         << anchor << "\">" << escaped(words) << "</text>\n";
  }

  void write_legend() {
    double at = kLeft;
    const auto entry = [&](const char* kind, const std::string& words) {
      svg_ << "<rect x=\"" << at << "\" y=\"38\" width=\"12\" height=\"12\" class=\"" << kind
           << "\"/>\n";
      text(at + 17, 48, "small", words);
      at += 36 + kLetter * static_cast<double>(words.size());
    };
    const auto line = [&](const char* kind, const std::string& words) {
      svg_ << "<path d=\"M" << at << " 44h14\" class=\"" << kind << "\"/>\n";
      text(at + 19, 48, "small", words);
      at += 38 + kLetter * static_cast<double>(words.size());
    };
    entry("weights", "weights");
    entry("others", "values and workspace");
    line("budget", "budget");
    if (!trace_.empty()) line("measured", "measured peak, at the measured time");
  }

  // The scale goes up to the budget, unless that is far above all that happens.
  double top_bytes(const DeviceChart& chart, const DevicePlan& device) const {
    Bytes most = std::max<Bytes>(1, device.peak);
    for (const MemorySpan& span : chart.spans) most = std::max(most, span.bytes());
    for (const Measured& measured : trace_)
      if (measured.device == device.budget.name) most = std::max(most, measured.peak);
    const bool near = device.budget.capacity <= 2 * most;
    return 1.05 * static_cast<double>(near ? std::max(most, device.budget.capacity) : most);
  }

  void write_panel(const DeviceChart& chart, double top) {
    const DevicePlan& device = plan_.devices[index(chart.device)];
    const double base = top + kHead + kPanel, most = top_bytes(chart, device);
    const auto y = [&](Bytes bytes) { return base - kPanel * static_cast<double>(bytes) / most; };
    text(kLeft, top + 16, "title", device.budget.name);
    text(kWidth - kRight, top + 16, "small",
         str("planned peak ", format_bytes(device.peak), " of ",
             format_bytes(device.budget.capacity)),
         "end");
    write_ticks(base);
    for (const MemorySpan& span : chart.spans)
      write_span(span, y(span.weights), y(span.bytes()), base);
    if (static_cast<double>(device.budget.capacity) <= most)
      svg_ << "<path class=\"budget\" d=\"M" << kLeft << ' ' << y(device.budget.capacity) << 'h'
           << kPlot << "\"/>\n";
    text(kLeft - 6, base, "small", "0", "end");
    text(kLeft - 6, y(device.peak) + 4, "small", format_bytes(device.peak), "end");
    write_measured(device.budget.name, base, most);
    svg_ << "<path class=\"axis\" d=\"M" << kLeft << ' ' << base - kPanel << 'v' << kPanel << 'h'
         << kPlot << "\"/>\n";
    write_labels(chart, base);
  }

  // At round times: 1, 2 or 5 times a power of ten.
  void write_ticks(double base) {
    double step = std::pow(10, std::floor(std::log10(seconds_ / kFewestTicks)));
    for (const double larger : {5.0, 2.0})
      if (step * larger * kFewestTicks <= seconds_) {
        step *= larger;
        break;
      }
    for (double at = step; at <= seconds_; at += step) {
      svg_ << "<path class=\"tick\" d=\"M" << x(at) << ' ' << base << 'v' << -kPanel << "\"/>\n";
      const bool is_last = x(at) > kWidth - kRight - kLetter * 4;
      text(x(at), base + 30, "small", seconds_text(at), is_last ? "end" : "middle");
    }
  }

  void write_span(const MemorySpan& span, double weights_y, double all_y, double base) {
    const double width = std::max(0.1, x(span.end) - x(span.begin));
    const auto bar = [&](const char* kind, double from, double to) {
      if (to - from >= 0.1)
        svg_ << "<rect class=\"" << kind << "\" x=\"" << x(span.begin) << "\" y=\"" << from
             << "\" width=\"" << width << "\" height=\"" << to - from << "\"/>";
    };
    svg_ << "<g shape-rendering=\"crispEdges\"><title>"
         << escaped(str(span.what.empty() ? "" : span.what + ", ", seconds_text(span.begin), " to ",
                        seconds_text(span.end), ": weights ", format_bytes(span.weights),
                        ", values and workspace ", format_bytes(span.others)))
         << "</title>";
    bar("weights", weights_y, base);
    bar("others", all_y, weights_y);
    svg_ << "</g>\n";
  }

  void write_measured(const std::string& device, double base, double most) {
    std::ostringstream path;
    path << std::fixed << std::setprecision(1);
    for (const Measured& measured : trace_) {
      if (measured.device != device || measured.peak <= 0) continue;
      path << 'M' << x(measured.begin) << ' '
           << base - kPanel * static_cast<double>(measured.peak) / most << 'H' << x(measured.end);
    }
    if (!path.str().empty()) svg_ << "<path class=\"measured\" d=\"" << path.str() << "\"/>\n";
  }

  // Below the axis, where each begins, if its name is not in the way of the next one's.
  void write_labels(const DeviceChart& chart, double base) {
    std::vector<ChartLabel> labels = chart.labels;
    std::ranges::stable_sort(labels, std::ranges::greater{},
                             [](const ChartLabel& label) { return label.end - label.begin; });
    std::vector<std::pair<double, double>> taken;
    for (const ChartLabel& label : labels) {
      const double from = x(label.begin),
                   to = from + kLetter * static_cast<double>(label.text.size()) + 8;
      const auto meets = [&](const auto& other) { return from < other.second && other.first < to; };
      if (to > kWidth || std::ranges::any_of(taken, meets)) continue;
      taken.emplace_back(from, to);
      svg_ << "<path class=\"axis\" d=\"M" << from << ' ' << base << "v5\"/>\n";
      text(from, base + 16, "small", label.text);
    }
  }

  const ExecutionPlan& plan_;
  const Graph& graph_;
  std::vector<Measured> trace_;
  std::vector<DeviceChart> charts_;
  double seconds_ = 1e-9;
  std::ostringstream svg_;
};

}  // namespace

std::string to_svg(const ExecutionPlan& plan, const Graph& graph, std::string_view report_json) {
  return SvgWriter(plan, graph, trace_of(report_json)).write();
}

}  // namespace emulsion
