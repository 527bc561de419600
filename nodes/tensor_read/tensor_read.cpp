#include <memory>

#include "emulsion/plugin.h"
#include "models/ops.h"
#include "models/tensor_file.h"

namespace emulsion {
namespace {

class TensorRead final : public Node {
 public:
  explicit TensorRead(const Params& params)
      : path_(params.get<std::string>("path")), name_(params.get<std::string>("name")) {}

  Forecast forecast(const ForecastContext&) const override {
    const TensorSpec stored = models::find_tensor(path_, name_).spec;
    if (stored.shape.size() != 4 || stored.count() == 0)
      throw GraphError(str(path_, ": the tensor is ", to_text(stored),
                           ": expected a latent, [B, C, height, width]"));
    return {.outputs = {{"latent", TensorSpec{stored.shape, at::kFloat}}},
            .workspace = stored.bytes()};
  }

  void run(RunContext& context) const override {
    context.output("latent", models::read_tensor(path_, name_).to(at::kFloat));
  }

 private:
  std::string path_, name_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "tensor_read",
       .summary = "Reads a latent from a safetensors file.",
       .outputs = {{"latent", port::kLatent}},
       .params = {{.name = "path",
                   .fallback = std::string("latent.safetensors"),
                   .help = "The file to read.",
                   .file = true,
                   .animatable = false},
                  {"name", std::string("latent"),
                   "The tensor's name in the file; of no importance where there is only one."}},
       .runs_on = Home::Host,
       .file_endings = {".safetensors"},
       .create = [](const Params& params) { return std::make_unique<TensorRead>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)
