#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "emulsion/descriptor.h"
#include "emulsion/value.h"

namespace emulsion {

// What a host may set on a graph.  Values of every type are given as text, as on a command line.
struct SettableInput {
  std::string name, type;  // "int", "text", "choice", "model", …
  std::string help, label, unit;
  std::string fallback;  // the value if none is given; empty where there is none
  bool has_fallback = false;
  std::string limits;  // "8..8192, a multiple of 8", "one of auto, euler"; may be empty
};

struct GraphDescription {
  std::string name, description;
  std::filesystem::path file;
  std::vector<SettableInput> inputs;
  std::map<std::string, std::string> outputs;  // name -> port type
};

// What to compute, and on what.
struct Request {
  std::string graph;                               // a path, or the name of a shipped graph
  std::map<std::string, std::string> values = {};  // of inputs; for images and latents, files
  std::map<std::string, std::string> files = {};   // of outputs: where to write them
  // Outputs to give besides the written ones; with neither: all.  What only others need is not run.
  std::vector<std::string> outputs = {};
  std::vector<std::string> devices = {};  // "cpu", "cuda:0=8GiB", "logical:a=2GiB"; empty: the cpu
  std::string dtype = "auto";             // auto, f32, f16, bf16
  std::string profile = "auto";           // auto, or another name of profiles()
  // Weights and results stay in the session for the next run, within the budgets.
  bool keep = false;
};

// Where a run stands.
struct Progress {
  std::string node;             // about to run; empty after an iteration
  std::int64_t iteration = 0;   // finished ones of the loop that is running
  std::int64_t iterations = 0;  // 0 outside a loop
  double seconds_left = 0;      // of the loop, from its iterations so far; 0 while unknown
};

// Where the download of a model stands.
struct Download {
  std::string model;  // the hub id
  std::size_t files = 0, files_done = 0;
  Bytes bytes = 0, bytes_done = 0;
  double bytes_per_second = 0;
};

// How a host takes part in a run.  The functions are called on the thread that called run().
struct Callbacks {
  // Set it from anywhere: the run ends within a step, a download within a second.
  const std::atomic<bool>* cancelled = nullptr;
  std::function<void(const Progress&)> progress;
  std::function<void(const Download&)> download;
  std::function<void(const std::string& line)> warn;
};

struct Outcome {
  std::map<std::string, Value> outputs;  // of the graph, on the host; read-only
  std::vector<std::string> files;        // written, in the order of their outputs
  std::string report;                    // JSON, see `emulsion run --report`
};

// What a model is, as its headers and configs tell: for people, and JSON.
struct ModelDescription {
  std::string text, json;
};

// A model to bring from the hub to its cache.
struct PullRequest {
  std::string model;           // owner/name[@revision][/path/in/repository.safetensors]
  std::string dtype = "auto";  // f32 takes weights of full precision where there are others
  bool verify = false;         // checks what is there as well, and gets again what is damaged
};

// The models that are there by name: for people, and JSON.
struct ModelList {
  std::string text, json;
};

// A model to be written again, in another layout or dtype.
struct ModelConversion {
  std::string source;            // a folder, a single file, or the name of a shipped model
  std::filesystem::path target;  // where nothing is yet
  std::string layout = "auto";   // folder, single; auto: single where `target` ends so
  std::string dtype = "keep";    // f32, f16, bf16; keep: as the tensors are
};

// What devices do in a second: a table for people, and JSON.
struct Speeds {
  std::string text, json;
};

struct NodeType {
  NodeDescriptor descriptor;
  std::vector<std::string> limits;  // of the parameters, as SettableInput::limits
  std::filesystem::path library;
};

// Everything a host does with graphs.  Each call stands for itself and throws Error's classes.
// [one thread at a time per session; sessions are independent]
class EMULSION_EXPORT Session {
 public:
  // Looks for plug-ins in EMULSION_PLUGIN_PATH's folders, `plugin_folders`, and beside this
  // library; a library that cannot be used is named by refused_plugins() and left out.
  explicit Session(const std::vector<std::filesystem::path>& plugin_folders = {});
  ~Session();

  std::vector<NodeType> node_types() const;
  std::vector<std::string> refused_plugins() const;  // a line each
  std::string why(const std::string& node_type) const;
  std::vector<std::string> shipped_graphs() const;

  GraphDescription describe(const std::string& graph) const;
  // Throws GraphError with a line for every fault of the document.
  void check(const std::string& graph) const;
  std::string dot(const std::string& graph) const;  // Graphviz

  // The plan of a run that finds nothing kept: a table and timelines for people, a line for every
  // step, JSON, and a drawing, on which `report_json` of a run, if not empty, is laid.  They read
  // headers and configs of models, no weights.
  std::string plan_text(const Request& request, const Callbacks& callbacks = {}) const;
  std::string plan_steps(const Request& request, const Callbacks& callbacks = {}) const;
  std::string plan_json(const Request& request, const Callbacks& callbacks = {}) const;
  std::string plan_svg(const Request& request, const std::string& report_json,
                       const Callbacks& callbacks = {}) const;

  // Name and summary of each profile, "auto" first.
  std::vector<std::pair<std::string, std::string>> profiles() const;
  // Measures the devices anew, for all plans from now on.
  Speeds bench(const std::vector<std::string>& devices, const Callbacks& callbacks = {}) const;

  // `model` is a folder, a single file, the name of a shipped model, or a hub id that is in the
  // hub's cache.  No weights are read.
  ModelDescription inspect(const std::string& model) const;
  // The shipped models, and those in the hub's cache.
  ModelList models() const;
  // Gives the path of the folder or file in the hub's cache.  What is there is not brought again.
  std::string pull(const PullRequest& request, const Callbacks& callbacks = {}) const;
  // Writes a folder in diffusers' layout or a single file, whole or not at all, a few megabytes at
  // a time.  What could not be kept is warned of, a line each.
  void convert(const ModelConversion& conversion, const Callbacks& callbacks = {}) const;

  // Models that hub ids name and the hub's cache lacks are downloaded before anything is planned.
  // Where memory runs out the rest is planned again, within less; the second time without a step
  // done in between ends the run with OutOfMemory.
  Outcome run(const Request& request, const Callbacks& callbacks = {}) const;
  // Lets go of what runs with Request::keep left in memory.
  void forget();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace emulsion
