#include <memory>

#include "emulsion/output_file.h"
#include "emulsion/plugin.h"
#include "models/ops.h"
#include "models/tensor_file.h"

namespace emulsion {
namespace {

class TensorWrite final : public Node {
 public:
  explicit TensorWrite(const Params& params)
      : path_(params.get<std::string>("path")), name_(params.get<std::string>("name")) {}

  Forecast forecast(const ForecastContext& context) const override {
    check_can_hold(path_);  // before hours are spent on what is to be written
    const TensorSpec stored{context.tensor("latent").shape, at::kFloat};
    return {.outputs = {{"paths", path_}}, .workspace = stored.bytes()};
  }

  void run(RunContext& context) const override {
    models::write_tensor(path_, name_, context.tensor("latent"));
    context.output("paths", path_);
  }

 private:
  std::string path_, name_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "tensor_write",
       .summary = "Writes a latent to a safetensors file, in float32.",
       .inputs = {{"latent", port::kLatent}},
       .outputs = {{"paths", port::kPaths}},
       .params = {{.name = "path",
                   .fallback = std::string("latent.safetensors"),
                   .help = "The file to write.",
                   .file = true,
                   .animatable = false},
                  {"name", std::string("latent"), "The tensor's name in the file."}},
       .runs_on = Home::Host,
       .has_effects = true,
       .file_endings = {".safetensors"},
       .create = [](const Params& params) { return std::make_unique<TensorWrite>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)
