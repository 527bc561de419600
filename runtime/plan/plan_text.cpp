#include <iomanip>
#include <sstream>

#include "emulsion/str.h"
#include "emulsion/value.h"
#include "plan/execution_plan.h"

namespace emulsion {
namespace {

// Columns: what is done, to what, where and how, bytes.
class TextWriter {
 public:
  TextWriter(const ExecutionPlan& plan, const Graph& graph) : plan_(plan), graph_(graph) {}

  std::string write() {
    text_ << graph_.name << ", " << dtype_text(plan_.dtype) << '\n';
    for (const DevicePlan& device : plan_.devices)
      text_ << device.budget.name << ": peak " << format_bytes(device.peak) << " of "
            << format_bytes(device.budget.capacity) << '\n';
    write_steps(plan_.steps);
    return text_.str();
  }

 private:
  void line(const std::string& verb, const std::string& what, const std::string& where,
            const std::string& bytes) {
    std::ostringstream row;
    row << indent_ << std::left << std::setw(8) << verb << std::setw(26) << what << std::setw(22)
        << where << bytes;
    std::string trimmed = row.str();
    trimmed.erase(trimmed.find_last_not_of(' ') + 1);
    text_ << trimmed << '\n';
  }

  void write_steps(const std::vector<Step>& steps) {
    for (const Step& step : steps) std::visit([this](const auto& s) { write_step(s); }, step);
  }

  std::string device(DeviceId id) const { return plan_.device(id).name; }

  void write_step(const LoadWeights& s) {
    line("load", graph_.component(s.component).name, "-> " + device(s.device),
         format_bytes(s.bytes));
  }

  void write_step(const EvictWeights& s) {
    line("evict", graph_.component(s.component).name, "<- " + device(s.device), "");
  }

  void write_step(const MoveValue& s) {
    line("move", graph_.value(s.value).name, device(s.from) + " -> " + device(s.to),
         format_bytes(s.bytes));
  }

  void write_step(const ReleaseValue& s) { line("free", graph_.value(s.value).name, "", ""); }

  void write_step(const BindValues& s) {
    for (const BindValues::Pair& pair : s.pairs) {
      const auto* from = std::get_if<ValueId>(&pair.from);
      const std::string source =
          from != nullptr ? graph_.value(*from).name : to_text(std::get<Param>(pair.from));
      line("bind", graph_.value(pair.to).name, "= " + source, "");
    }
  }

  void write_step(const RunNode& s) {
    const std::string variant = s.variant == "default" ? "" : ", " + s.variant;
    line("run", graph_.node(s.node).name, "on " + device(s.device) + variant,
         str("peak ", format_bytes(s.peak), ", workspace ", format_bytes(s.estimate.workspace)));
  }

  void write_step(const RunLoop& s) {
    const Loop& loop = graph_.loop(s.loop);
    line("loop", loop.name, s.iterations ? str("x ", *s.iterations) : "x ?", "");
    indent_ += "  ";
    write_steps(s.body);
    indent_.resize(indent_.size() - 2);
  }

  const ExecutionPlan& plan_;
  const Graph& graph_;
  std::ostringstream text_;
  std::string indent_;
};

}  // namespace

std::string to_text(const ExecutionPlan& plan, const Graph& graph) {
  return TextWriter(plan, graph).write();
}

}  // namespace emulsion
