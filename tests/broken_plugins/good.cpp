// A plug-in that is in order: its node doubles a number.
#include "emulsion/plugin.h"

namespace {

using namespace emulsion;

class Double final : public Node {
 public:
  explicit Double(const Params& params) : offset_(params.get<double>("offset")) {}
  Forecast forecast(const ForecastContext&) const override {
    return {.outputs = {{"number", std::monostate{}}}};
  }
  void run(RunContext& context) const override {
    context.output("number", 2 * context.value<double>("number") + offset_);
  }

 private:
  double offset_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "good_double",
       .summary = "Doubles a number.",
       .inputs = {{"number", port::kFloat}},
       .outputs = {{"number", port::kFloat}},
       .params = {{"offset", 0.0, "Added to the result."}},
       .create = [](const Params& params) { return std::make_unique<Double>(params); }});
}

}  // namespace

EMULSION_PLUGIN(describe)
