#include "exec/warm_run.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <fstream>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "fakes/fake_model.h"

using namespace emulsion;

namespace {

// A node type whose nodes are made from their parameters.
NodeDescriptor made_by(NodeDescriptor node, std::function<void(const Params&, RunContext&)> run) {
  const auto plain = node.create(Params());
  const auto forecast = [make = node.create](const ForecastContext& context) {
    return make(Params())->forecast(context);
  };
  node.create = [forecast, run](const Params& params) {
    return std::make_unique<fakes::FakeNode>(
        forecast, [run, params](RunContext& context) { run(params, context); });
  };
  return node;
}

NodeDescriptor encode_node() {
  NodeDescriptor node = fakes::encode_node();
  node.params = {{.name = "prompt", .fallback = std::string(), .help = ""}};
  return made_by(node, [](const Params& params, RunContext& context) {
    const auto length = static_cast<double>(params.get<std::string>("prompt").size());
    context.output("condition", fakes::filled(1, fakes::weight(context, "clip") + length));
  });
}

NodeDescriptor noise_node() {
  NodeDescriptor node = fakes::noise_node();
  node.params = {{.name = "seed", .fallback = std::int64_t{0}, .help = ""}};
  return made_by(node, [](const Params& params, RunContext& context) {
    context.output("latent",
                   fakes::filled(1, 1.0 + static_cast<double>(params.get<std::int64_t>("seed"))));
    context.output("iterations", std::int64_t{3});
  });
}

NodeDescriptor note_node() {
  NodeDescriptor node{.id = "note",
                      .summary = "Writes something down.",
                      .inputs = {{"image", port::kImage}},
                      .outputs = {{"paths", port::kPaths}},
                      .runs_on = Home::Host,
                      .has_effects = true};
  return fakes::with(
      node,
      [](const ForecastContext&) {
        return Forecast{{{"paths", std::monostate()}}, 0};
      },
      [](RunContext& context) { context.output("paths", std::string("a")); });
}

constexpr const char* kGraph = R"({
  "emulsion": 1,
  "inputs": {"model": {"type": "model"}, "prompt": {"type": "text", "default": "ab"},
             "seed": {"type": "int", "default": 0}},
  "resources": {"sd": {"type": "checkpoint", "source": "$model"}},
  "nodes": {
    "encode": {"type": "encode", "use": {"clip": "sd.clip"}, "params": {"prompt": "$prompt"}},
    "noise": {"type": "noise", "params": {"seed": "$seed"}},
    "denoise": {"loop": {
      "count": "noise.iterations",
      "carry": {"latent": {"from": "noise.latent", "next": "step.latent"},
                "history": {"next": "step.history"}},
      "nodes": {
        "unet": {"type": "unet", "use": {"unet": "sd.unet"},
                 "in": {"latent": "carry.latent", "condition": "encode.condition",
                        "index": "loop.index"}},
        "step": {"type": "step",
                 "in": {"denoised": "unet.denoised", "history": "carry.history"}}}}},
    "decode": {"type": "decode", "use": {"vae": "sd.vae"}, "in": {"latent": "denoise.latent"}},
    "note": {"type": "note", "in": {"image": "decode.image"}}},
  "outputs": {"image": "decode.image", "latent": "denoise.latent", "paths": "note.paths"}})";

// A session's worth of state, with a graph of fakes.
class Bench {
 public:
  Bench() {
    install_memory_meter();
    for (NodeDescriptor node : {encode_node(), noise_node(), fakes::block_unet_node(),
                                fakes::step_node(), fakes::decode_node(), note_node()}) {
      types_.push_back(std::move(node));
      catalog_[types_.back().id] = &types_.back();
    }
    std::ofstream(model.folder() / "graph.json") << kGraph;
  }

  Request request(const std::string& prompt = "ab", int seed = 0) const {
    Request request;
    request.graph = (model.folder() / "graph.json").string();
    request.values = {
        {"model", model.folder().string()}, {"prompt", prompt}, {"seed", std::to_string(seed)}};
    request.devices = {"cpu=200MiB"};
    request.dtype = "f32";
    request.keep = true;
    return request;
  }

  double run(const Request& request, RunOptions options = {}) {
    nodes.clear();
    options.progress = [this, more = options.progress](const RunProgress& progress) {
      if (!progress.node.empty() && std::ranges::find(nodes, progress.node) == nodes.end())
        nodes.push_back(progress.node);
      if (more) more(progress);
    };
    WarmRun run = run_warm(request, bind_graph(request, catalog_), warm, options);
    report = std::move(run.report);
    outputs = std::move(run.outputs);
    loads.clear();
    for (const RunReport::Transfer& transfer : report.transfers)
      if (transfer.from == "disk") loads.push_back(transfer.what);
    for (const RunReport::Device& device : report.devices) {
      CAPTURE(device.name);
      CHECK(device.measured_peak <= device.budget);
    }
    return outputs.contains("image") ? fakes::first(std::get<at::Tensor>(outputs.at("image"))) : 0;
  }

  // What a run finds that finds nothing.
  double cold(Request request) const {
    request.keep = false;
    WarmState nothing;
    const WarmRun run = run_warm(request, bind_graph(request, catalog_), nothing, {});
    return fakes::first(std::get<at::Tensor>(run.outputs.at("image")));
  }

  fakes::Model model{fakes::Model::Unet::Blocks};
  WarmState warm;
  std::vector<std::string> nodes, loads;  // of the last run
  RunReport report;
  Outputs outputs;

 private:
  std::list<NodeDescriptor> types_;
  NodeCatalog catalog_;
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("what has not changed is not run again, but for nodes with effects") {
  Bench bench;
  const double first = bench.run(bench.request());
  CHECK(bench.nodes.size() == 6);
  CHECK(bench.run(bench.request()) == first);
  CHECK((bench.nodes == Names{"note"}));
  CHECK(bench.loads.empty());
}

TEST_CASE("another seed encodes no text and loads no weights") {
  Bench bench;
  bench.run(bench.request("ab", 1));
  CHECK(bench.loads.size() == 3);
  CHECK(bench.run(bench.request("ab", 2)) == bench.cold(bench.request("ab", 2)));
  CHECK((bench.nodes == Names{"noise", "denoise.unet", "denoise.step", "decode", "note"}));
  CHECK(bench.loads.empty());
}

TEST_CASE("another prompt does not load the UNet again, and draws no noise") {
  Bench bench;
  bench.run(bench.request("ab"));
  CHECK(bench.run(bench.request("abc")) == bench.cold(bench.request("abc")));
  CHECK((bench.nodes == Names{"encode", "denoise.unet", "denoise.step", "decode", "note"}));
  CHECK(bench.loads.empty());
  CHECK(bench.run(bench.request("ab")) == bench.cold(bench.request("ab")));
  CHECK((bench.nodes == Names{"note"}));
}

TEST_CASE("budgets hold however many runs have left something") {
  Bench bench;
  for (const char* budget : {"cpu=9MiB", "cpu=12MiB", "cpu=17MiB", "cpu=40MiB"}) {
    CAPTURE(budget);
    bench.warm.forget();
    std::string prompt;
    for (int seed = 0; seed < 4; ++seed) {
      Request request = bench.request(prompt += "a", seed / 2);
      request.devices = {budget};
      CHECK(bench.run(request) == bench.cold(request));
      CHECK(bench.warm.used("cpu") <= bench.report.devices.back().budget);
    }
  }
}

TEST_CASE(
    "a smaller budget than what is there makes room, and a device that is not named is left") {
  Bench bench;
  Request request = bench.request();
  request.devices = {"logical:a=40MiB", "cpu=40MiB"};
  bench.run(request);
  request.devices = {"cpu=9MiB"};
  request.values["prompt"] = "other";
  CHECK(bench.run(request) == bench.cold(request));
  CHECK(bench.warm.used("logical:a") == 0);
}

TEST_CASE("a run that does not keep leaves nothing") {
  Bench bench;
  bench.run(bench.request());
  Request request = bench.request("abc");
  request.keep = false;
  CHECK(bench.run(request) == bench.cold(request));
  CHECK(bench.loads.empty());  // it takes what is there
  CHECK(bench.warm.is_empty());
  CHECK(bench.warm.used("cpu") == 0);
}

TEST_CASE("everything can be forgotten") {
  Bench bench;
  bench.run(bench.request());
  CHECK(bench.warm.used("cpu") > 0);
  bench.warm.forget();
  CHECK(bench.warm.used("cpu") == 0);
  bench.run(bench.request());
  CHECK(bench.nodes.size() == 6);
}

TEST_CASE("weights whose file was changed are loaded again, and what they made is made again") {
  Bench bench;
  const double first = bench.run(bench.request());
  bench.model.save("vae", {{"w", fakes::filled(2, 20.0)}});
  CHECK(bench.run(bench.request()) == 2 * first);
  CHECK((bench.nodes == Names{"decode", "note"}));
  CHECK((bench.loads == Names{"sd.vae"}));
}

TEST_CASE("only what the wanted outputs need is run") {
  Bench bench;
  Request request = bench.request();
  request.outputs = {"latent"};
  bench.run(request);
  CHECK(bench.outputs.size() == 1);
  CHECK(bench.outputs.contains("latent"));
  request.outputs = {"picture"};
  CHECK_THROWS_WITH_AS(bench.run(request), doctest::Contains("unknown output"), GraphError);
}

TEST_CASE("a cancelled run leaves its weights to the next one") {
  Bench bench;
  std::atomic<bool> cancelled{false};
  RunOptions options;
  options.cancelled = &cancelled;
  options.progress = [&](const RunProgress& progress) { cancelled = progress.iteration == 1; };
  CHECK_THROWS_AS(bench.run(bench.request(), options), Cancelled);
  CHECK(bench.run(bench.request()) == bench.cold(bench.request()));
  CHECK(std::ranges::find(bench.loads, "sd.unet") == bench.loads.end());
}

TEST_CASE("a warm run that runs out of memory goes on as a cold one does") {
  Bench bench;
  bench.run(bench.request());
  for (std::size_t at = 0; at < 12; ++at) {
    CAPTURE(at);
    const Request request = bench.request(std::string(at + 3, 'x'), static_cast<int>(at));
    std::size_t step = 0;
    RunOptions options;
    options.before_step = [&](const Step&) {
      if (step++ == at) throw OutOfMemory("a test");
    };
    CHECK(bench.run(request, options) == bench.cold(request));
    CHECK(bench.report.replans.size() == 1);
  }
}
