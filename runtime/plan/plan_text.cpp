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
            const std::string& rest) {
    std::ostringstream row;
    row << indent_ << std::left << std::setw(8) << verb << std::setw(26) << what << std::setw(22)
        << where << rest;
    std::string trimmed = row.str();
    trimmed.erase(trimmed.find_last_not_of(' ') + 1);
    text_ << trimmed << '\n';
  }

  void write_steps(const std::vector<Step>& steps) {
    for (const Step& step : steps) std::visit([this](const auto& s) { write_step(s); }, step);
  }

  std::string device(DeviceId id) const { return plan_.device(id).name; }

  // Told where there is a choice.
  std::string on(DeviceId id) const { return plan_.devices.size() > 1 ? "on " + device(id) : ""; }

  void write_step(const LoadWeights& s) {
    std::string held = format_bytes(s.held);
    if (!s.streamed.empty())
      held += str(", streams ", s.streamed.size(), " blocks", s.prefetch ? "" : " one by one");
    if (s.changed > 0)
      held += str(", changes ", s.changed, s.changed == 1 ? " tensor" : " tensors");
    line("load", graph_.component(s.component).name,
         (s.from ? device(*s.from) + " " : "") + "-> " + device(s.device), held);
  }

  void write_step(const EvictWeights& s) {
    line("evict", graph_.component(s.component).name, "<- " + device(s.device), "");
  }

  void write_step(const CopyValue& s) {
    line("copy", graph_.value(s.value).name, device(s.from) + " -> " + device(s.to),
         format_bytes(s.bytes));
  }

  void write_step(const FreeValue& s) {
    line("free", graph_.value(s.value).name, on(s.device), "");
  }

  void write_step(const BindValues& s) {
    for (const BindValues::Pair& pair : s.pairs) {
      const auto* from = std::get_if<ValueId>(&pair.from);
      const std::string source =
          from != nullptr ? graph_.value(*from).name : to_text(std::get<Param>(pair.from));
      line("bind", graph_.value(pair.to).name, "= " + source, on(pair.device));
    }
  }

  void write_step(const TrimMemory& s) { line("trim", device(s.device), "", ""); }

  void write_step(const RunNode& s) {
    const std::string variant = s.variant == "default" ? "" : ", " + s.variant;
    const std::string streamed = s.streamed == 0 ? "" : ", streams " + format_bytes(s.streamed);
    const std::string memo = s.estimate.memo == 0 ? "" : ", memo " + format_bytes(s.estimate.memo);
    line("run", graph_.node(s.node).name, "on " + device(s.device) + variant,
         str("peak ", format_bytes(s.peak), ", workspace ", format_bytes(s.estimate.workspace),
             memo, streamed));
  }

  void write_step(const RunLoop& s) {
    const Loop& loop = graph_.loop(s.loop);
    const std::string count = s.iterations ? str("x ", *s.iterations) : "x ?";
    line("loop", loop.name, count + (s.first == 0 ? "" : str(" from ", s.first)), "");
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
