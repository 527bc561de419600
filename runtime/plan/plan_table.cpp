#include <algorithm>
#include <iomanip>
#include <sstream>
#include <string_view>

#include "emulsion/str.h"
#include "emulsion/value.h"
#include "plan/plan_chart.h"
#include "plan/plan_views.h"

namespace emulsion {
namespace {

constexpr Bytes kLargeCopy = kMiB;  // smaller ones are no news
constexpr double kSlowCopy = 0.01;  // seconds, from which on they are

// Columns: what, where, how, weights that are there, peak, predicted seconds, a note.
class TableWriter {
 public:
  TableWriter(const ExecutionPlan& plan, const Graph& graph)
      : plan_(plan), graph_(graph), device_width_(width_of_devices(plan)) {}

  std::string write() {
    text_ << graph_.name << ", " << dtype_text(plan_.dtype) << ", profile "
          << (plan_.profile.empty() ? "auto" : plan_.profile) << ": " << seconds_text(plan_.seconds)
          << " predicted\n";
    for (const DevicePlan& device : plan_.devices)
      text_ << "  " << std::left << std::setw(12) << device.budget.name << "peak "
            << format_bytes(device.peak) << " of " << format_bytes(device.budget.capacity) << '\n';
    text_ << '\n';
    row("step", "device", "variant", "weights", "peak", "predicted", "");
    write_steps(plan_.steps);
    return text_.str();
  }

 private:
  // Room for a name, or for "from -> to".
  static int width_of_devices(const ExecutionPlan& plan) {
    std::size_t longest = 0, second = 0;
    for (const DevicePlan& device : plan.devices) {
      const std::size_t size = device.budget.name.size();
      second = std::max(second, std::min(longest, size));
      longest = std::max(longest, size);
    }
    const std::size_t pair = plan.devices.size() > 1 ? longest + 4 + second : longest;
    return static_cast<int>(std::max(pair, std::string_view("device").size()));
  }

  void row(const std::string& what, const std::string& device, const std::string& variant,
           const std::string& weights, const std::string& peak, const std::string& seconds,
           const std::string& note) {
    std::ostringstream line;
    line << std::left << std::setw(27) << indent_ + what << ' ' << std::setw(device_width_)
         << device << ' ' << std::setw(11) << variant << std::right << std::setw(9) << weights
         << std::setw(10) << peak << std::setw(13) << seconds << (note.empty() ? "" : "  ") << note;
    std::string trimmed = line.str();
    trimmed.erase(trimmed.find_last_not_of(' ') + 1);
    text_ << trimmed << '\n';
  }

  void write_steps(const std::vector<Step>& steps) {
    for (const Step& step : steps) std::visit([this](const auto& s) { write_step(s); }, step);
  }

  const std::string& device(DeviceId id) const { return plan_.device(id).name; }

  static std::string time(double seconds) { return seconds < 0.0005 ? "" : seconds_text(seconds); }

  void write_step(const LoadWeights& s) {
    std::string note;
    if (!s.streamed.empty())
      note = str(s.streamed.size(), s.streamed.size() == 1 ? " block streams" : " blocks stream",
                 s.prefetch ? "" : ", one at a time");
    if (s.changed > 0)
      note += str(note.empty() ? "" : ", ", "changes ", s.changed,
                  s.changed == 1 ? " tensor" : " tensors");
    const std::string from = s.from ? device(*s.from) + " -> " : "";
    row("+ " + graph_.component(s.component).name, from + device(s.device), "",
        format_bytes(s.held), "", time(s.seconds), note);
  }

  void write_step(const EvictWeights& s) {
    row("- " + graph_.component(s.component).name, device(s.device), "", "", "", "", "");
  }

  void write_step(const CopyValue& s) {
    if (s.bytes < kLargeCopy && s.seconds < kSlowCopy) return;
    row("> " + graph_.value(s.value).name, device(s.from) + " -> " + device(s.to), "", "",
        format_bytes(s.bytes), time(s.seconds), "");
  }

  void write_step(const FreeValue&) {}
  void write_step(const BindValues&) {}
  void write_step(const TrimMemory&) {}

  void write_step(const RunNode& s) {
    row(short_name(graph_.node(s.node).name), device(s.device),
        s.variant == "default" ? "" : s.variant,
        s.estimate.weights > 0 ? format_bytes(s.estimate.weights) : "", format_bytes(s.peak),
        time(s.seconds), s.streamed > 0 ? "streams " + format_bytes(s.streamed) : "");
  }

  void write_step(const RunLoop& s) {
    const Loop& loop = graph_.loop(s.loop);
    loop_ = loop.name;
    const std::string count = s.iterations ? str(*s.iterations - s.first) : "?";
    const double once = seconds_of_body(s.body);
    const double all = once * (s.iterations ? static_cast<double>(*s.iterations - s.first) : 1.0);
    row(loop.name + " x " + count, "", "", "", "", time(all), "");
    indent_ = "  ";
    write_steps(s.body);
    indent_.clear();
    loop_.clear();
  }

  // The loop's name stands above its nodes.
  std::string short_name(const std::string& name) const {
    return !loop_.empty() && name.starts_with(loop_ + ".") ? name.substr(loop_.size() + 1) : name;
  }

  static double seconds_of_body(const std::vector<Step>& body) {
    double sum = 0;
    for (const Step& step : body) {
      if (const auto* run = std::get_if<RunNode>(&step)) sum += run->seconds;
      if (const auto* load = std::get_if<LoadWeights>(&step)) sum += load->seconds;
      if (const auto* copy = std::get_if<CopyValue>(&step)) sum += copy->seconds;
    }
    return sum;
  }

  const ExecutionPlan& plan_;
  const Graph& graph_;
  std::ostringstream text_;
  std::string indent_, loop_;
  int device_width_;
};

}  // namespace

std::string to_table(const ExecutionPlan& plan, const Graph& graph) {
  std::string text = TableWriter(plan, graph).write(), drawings;
  for (const DeviceChart& chart : charts_of(plan, graph)) {
    const DevicePlan& device = plan.devices[index(chart.device)];
    if (!is_worth_a_look(chart, device)) continue;
    drawings += '\n';
    drawings += drawn_in_text(chart, device);
  }
  if (!drawings.empty()) text += drawings + "\n█ weights  ░ values and workspace\n";
  return text;
}

}  // namespace emulsion
