#include "commands.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "help.h"
#include "interrupt.h"
#include "progress_bar.h"

namespace emulsion::cli {
namespace {

namespace fs = std::filesystem;

void warn(const std::string& line) { std::cerr << "emulsion: warning: " << line << '\n'; }

void tell(const std::string& line) { std::cerr << "emulsion: " << line << '\n'; }

void require_graph(const Options& options) {
  if (options.graph.empty()) throw GraphError("GRAPH is missing; see emulsion run --help");
}

// Without --out, a picture goes to <graph>_<seed>.png in the working directory.
void add_default_file(const GraphDescription& graph, Request& request) {
  if (!request.files.empty() || !graph.outputs.contains("image")) return;
  std::string seed = "0";
  for (const SettableInput& input : graph.inputs)
    if (input.name == "seed" && input.has_fallback) seed = input.fallback;
  const auto given = request.values.find("seed");
  if (given != request.values.end()) seed = given->second;
  request.files["image"] = graph.name + "_" + seed + ".png";
}

// Before there is anything to lose.
void check_folder(const std::string& option, const std::string& file) {
  const fs::path folder = fs::path(file).parent_path();
  if (!folder.empty() && !fs::is_directory(folder))
    throw GraphError(
        str(option, " ", file, ": there is no folder '", folder.string(), "'; make it first"));
}

// A file that is there is a whole one.
void write_file(const std::string& option, const fs::path& file, const std::string& text) {
  const fs::path partial = file.string() + ".partial";
  std::ofstream stream(partial, std::ios::binary);
  stream << text << std::flush;
  std::error_code fault;
  if (stream) fs::rename(partial, file, fault);
  if (!stream || fault) {
    fs::remove(partial, fault);
    throw RunError(str(option, " ", file.string(), ": cannot be written"));
  }
}

std::string read_file(const std::string& option, const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw GraphError(str(option, " ", file, ": cannot be read"));
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

int run(const Options& options, const Session& session) {
  Request request = request_of(options);
  check_folder("--report", options.report);
  add_default_file(session.describe(options.graph), request);
  Outcome outcome;
  {
    ProgressBar bar;
    Callbacks callbacks;
    callbacks.cancelled = &interrupt_flag();
    callbacks.warn = [&](const std::string& line) { bar.print("emulsion: " + line); };
    if (!options.quiet) {
      callbacks.progress = [&](const Progress& progress) { bar.show(progress); };
      callbacks.download = [&](const Download& download) { bar.show(download); };
    }
    outcome = session.run(request, callbacks);
  }
  if (!options.report.empty()) write_file("--report", options.report, outcome.report);
  for (const std::string& file : outcome.files) std::cout << file << '\n';
  return 0;
}

int draw_plan(const Options& options, const Session& session, const Callbacks& callbacks) {
  check_folder("--svg", options.svg);
  const std::string report = options.report.empty() ? "" : read_file("--report", options.report);
  write_file("--svg", options.svg, session.plan_svg(request_of(options), report, callbacks));
  std::cout << options.svg << '\n';
  return 0;
}

int plan(const Options& options, const Session& session) {
  Callbacks callbacks;
  callbacks.warn = tell;
  if (!options.svg.empty()) return draw_plan(options, session, callbacks);
  if (!options.report.empty())
    throw GraphError("--report: goes with --svg FILE, which draws what was measured");
  const Request request = request_of(options);
  std::cout << (options.json    ? session.plan_json(request, callbacks)
                : options.steps ? session.plan_steps(request, callbacks)
                                : session.plan_text(request, callbacks));
  return 0;
}

int bench(const Options& options, const Session& session) {
  Callbacks callbacks;
  callbacks.warn = tell;
  const Speeds speeds = session.bench(options.devices, callbacks);
  std::cout << (options.json ? speeds.json : speeds.text);
  return 0;
}

int inspect(const Options& options, const Session& session) {
  const ModelDescription model = session.inspect(options.model);
  std::cout << (options.json ? model.json : model.text);
  return 0;
}

int convert(const Options& options, const Session& session) {
  {
    ProgressBar bar;
    Callbacks callbacks;
    callbacks.cancelled = &interrupt_flag();
    callbacks.warn = [&](const std::string& line) { bar.print("emulsion: warning: " + line); };
    if (!options.quiet) callbacks.progress = [&](const Progress& progress) { bar.show(progress); };
    session.convert(options.conversion, callbacks);
  }
  std::cout << options.conversion.target.string() << '\n';
  return 0;
}

int pull(const Options& options, const Session& session) {
  std::string path;
  {
    ProgressBar bar;
    Callbacks callbacks;
    callbacks.cancelled = &interrupt_flag();
    callbacks.warn = [&](const std::string& line) { bar.print("emulsion: " + line); };
    if (!options.quiet) callbacks.download = [&](const Download& download) { bar.show(download); };
    path = session.pull({options.model, options.dtype, options.verify}, callbacks);
  }
  std::cout << path << '\n';
  return 0;
}

int list_models(const Options& options, const Session& session) {
  const ModelList models = session.models();
  std::cout << (options.json ? models.json : models.text);
  return 0;
}

int nodes(const Options& options, const Session& session) {
  if (!options.why.empty())
    std::cout << session.why(options.why);
  else if (options.json)
    std::cout << nodes_json(session, options.node_type);
  else if (!options.node_type.empty())
    std::cout << node_help(session, options.node_type);
  else
    std::cout << node_list(session);
  return 0;
}

}  // namespace

int run_command(const Options& options, const std::string& usage) {
  const Session session(options.plugin_folders);
  for (const std::string& line : session.refused_plugins()) warn(line);
  if (options.help) {
    if (!options.graph.empty()) std::cout << graph_help(session.describe(options.graph)) << '\n';
    std::cout << usage << '\n' << profile_list(session);
    return 0;
  }
  switch (options.command) {
    case Command::Run: require_graph(options); return run(options, session);
    case Command::Plan: require_graph(options); return plan(options, session);
    case Command::Nodes: return nodes(options, session);
    case Command::Check:
      session.check(options.graph);
      std::cout << options.graph << ": no faults\n";
      return 0;
    case Command::Bench: return bench(options, session);
    case Command::Inspect: return inspect(options, session);
    case Command::Convert: return convert(options, session);
    case Command::Pull: return pull(options, session);
    case Command::List: return list_models(options, session);
    case Command::Graph: std::cout << session.dot(options.graph); return 0;
  }
  return 0;
}

}  // namespace emulsion::cli
