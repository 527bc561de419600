#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include "plan/plan_chart.h"

namespace emulsion {
namespace {

// One device's memory over time, in characters.
class CharacterChart {
 public:
  CharacterChart(const DeviceChart& chart, const DevicePlan& device)
      : chart_(chart), device_(device), seconds_(chart.spans.back().end) {
    Bytes most = std::max<Bytes>(1, device.peak);
    for (const MemorySpan& span : chart.spans) most = std::max(most, span.bytes());
    // A budget far above the rest would leave nothing to see.
    shows_budget_ = device.budget.capacity <= 2 * most;
    top_ = static_cast<double>(shows_budget_ ? std::max(device.budget.capacity, most) : most);
    for (int column = 0; column < kColumns; ++column) columns_.push_back(column_at(column));
  }

  std::string draw() const {
    std::ostringstream text;
    text << device_.budget.name << ", " << (shows_budget_ ? "budget " : "far below its budget of ")
         << format_bytes(device_.budget.capacity) << '\n';
    for (int r = kRows; r > 0; --r) {
      const std::string scale =
          r == kRows ? format_bytes(static_cast<Bytes>(std::llround(top_))) : "";
      text << std::right << std::setw(kMargin) << scale << " |" << row(r) << '\n';
    }
    text << std::string(kMargin, ' ') << " +" << std::string(kColumns, '-') << '\n';
    const std::string end = seconds_text(seconds_);
    const std::string labels = label_row();
    if (!labels.empty()) text << std::string(kMargin + 2, ' ') << labels << '\n';
    text << std::string(kMargin + 2, ' ') << "0" << std::setw(kColumns - 1) << end << '\n';
    return text.str();
  }

 private:
  static constexpr int kColumns = 62, kRows = 8, kMargin = 8;

  struct Column {
    Bytes weights = 0, bytes = 0;
  };

  int column_of(double time) const {
    return std::clamp(static_cast<int>(time / seconds_ * kColumns), 0, kColumns - 1);
  }

  // The moment with the most in the time of a column.
  Column column_at(int column) const {
    const double begin = seconds_ * column / kColumns, end = seconds_ * (column + 1) / kColumns;
    Column most;
    for (const MemorySpan& span : chart_.spans)
      if (span.begin < end && span.end > begin && span.bytes() >= most.bytes)
        most = {span.weights, span.bytes()};
    return most;
  }

  std::string row(int number) const {
    const double level = (number - 0.5) / kRows * top_;
    std::string cells;
    for (const Column& column : columns_)
      cells += static_cast<double>(column.weights) > level ? "█"
               : static_cast<double>(column.bytes) > level ? "░"
               : number == kRows && shows_budget_          ? "┄"
                                                           : " ";
    cells.erase(cells.find_last_not_of(' ') + 1);
    return cells;
  }

  // The names of what takes long, below where it begins.
  std::string label_row() const {
    std::vector<ChartLabel> labels = chart_.labels;
    std::ranges::stable_sort(labels, std::ranges::greater{},
                             [](const ChartLabel& label) { return label.end - label.begin; });
    std::string line(kColumns, ' ');
    for (const ChartLabel& label : labels) {
      const std::size_t size = label.text.size();
      if (size > line.size()) continue;
      const std::size_t at =
          std::min(static_cast<std::size_t>(column_of(label.begin)), line.size() - size);
      const std::size_t from = at == 0 ? 0 : at - 1, to = std::min(line.size(), at + size + 1);
      if (line.substr(from, to - from).find_first_not_of(' ') != std::string::npos) continue;
      line.replace(at, size, label.text);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  }

  const DeviceChart& chart_;
  const DevicePlan& device_;
  double seconds_;
  double top_ = 1;
  bool shows_budget_ = true;
  std::vector<Column> columns_;
};

}  // namespace

std::string drawn_in_text(const DeviceChart& chart, const DevicePlan& device) {
  return CharacterChart(chart, device).draw();
}

}  // namespace emulsion
