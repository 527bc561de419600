#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <sstream>

#include "commands.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "interrupt.h"
#include "options.h"

namespace emulsion::cli {
namespace {

void add_devices(CLI::App& command, Options& options) {
  command
      .add_option("--device", options.devices,
                  "Where to compute, and how much memory to take at most: cpu, cuda:0=8GiB, "
                  "sim:NAME=SIZE, logical:NAME=SIZE; several times for several devices")
      ->type_name("DEVICE[=SIZE]")
      ->allow_extra_args(false);
}

// Options that CLI11 would answer by itself are taken as flags, since `run GRAPH --help` prints
// what the graph can be given.
void add_request(CLI::App& command, Options& options) {
  command.set_help_flag();
  command.add_flag("-h,--help", options.help, "This text; with GRAPH, its inputs and outputs");
  command.add_option("graph", options.graph, "A graph's file, or the name of a shipped graph")
      ->type_name("GRAPH");
  command.add_option("--set", options.set, "Sets an input of the graph")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command.add_option("--out", options.out, "Writes an output to a file")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  add_devices(command, options);
  command.add_option("--dtype", options.dtype, "auto, f32, f16 or bf16")->type_name("TYPE");
  command.add_option("--profile", options.profile, "How to use the devices, see below")
      ->type_name("PROFILE");
}

void add_plugins(CLI::App& command, Options& options) {
  command.add_option("--plugins", options.plugin_folders, "A folder with more node plug-ins")
      ->type_name("DIR")
      ->allow_extra_args(false);
}

void add_hub(CLI::App& models, Options& options) {
  CLI::App* pull = models.add_subcommand(
      "pull", "Downloads a model from the hub, or what is missing of it, and prints where it is");
  pull->callback([&options] { options.command = Command::Pull; });
  pull->add_option("model", options.model,
                   "owner/name, owner/name@revision, or one file of it: "
                   "owner/name/path/to/a.safetensors")
      ->type_name("HUB_ID")
      ->required();
  pull->add_option("--dtype", options.dtype,
                   "f32 takes weights of full precision; with others, half the bytes where there "
                   "is a choice")
      ->type_name("TYPE");
  pull->add_flag("--verify", options.verify,
                 "Checks what is there, and gets again what is damaged");
  pull->add_flag("--quiet", options.quiet, "No progress");
  CLI::App* list = models.add_subcommand("list", "Lists the shipped models and the pulled ones");
  list->callback([&options] { options.command = Command::List; });
  list->add_flag("--json", options.json, "As JSON, with paths");
}

void add_convert(CLI::App& models, Options& options) {
  CLI::App* convert = models.add_subcommand("convert", "Writes a model in another layout or dtype");
  convert->callback([&options] { options.command = Command::Convert; });
  ModelConversion& conversion = options.conversion;
  convert
      ->add_option("source", conversion.source,
                   "A folder, a .safetensors file, or the name of a shipped model")
      ->type_name("SOURCE")
      ->required();
  convert->add_option("target", conversion.target, "Where nothing is yet")
      ->type_name("TARGET")
      ->required();
  convert
      ->add_option("--layout", conversion.layout,
                   "folder (diffusers'), single (one file), or auto: single where TARGET ends with "
                   ".safetensors")
      ->type_name("LAYOUT");
  convert->add_option("--dtype", conversion.dtype, "f32, f16, bf16, or keep")->type_name("TYPE");
  convert->add_flag("--quiet", options.quiet, "No progress");
}

void add_models(CLI::App& app, Options& options) {
  CLI::App* models =
      app.add_subcommand("models", "Models, and what else there is to know before a run");
  models->require_subcommand(1);
  CLI::App* bench = models->add_subcommand(
      "bench", "Measures again how fast devices are; plans are made by that");
  bench->callback([&options] { options.command = Command::Bench; });
  add_devices(*bench, options);
  bench->add_flag("--json", options.json, "As JSON");
  CLI::App* inspect = models->add_subcommand("inspect", "Tells what a model is and what is in it");
  inspect->callback([&options] { options.command = Command::Inspect; });
  inspect
      ->add_option("model", options.model,
                   "A folder, a .safetensors file, the name of a shipped model, or a hub id that "
                   "has been pulled")
      ->type_name("MODEL")
      ->required();
  inspect->add_flag("--json", options.json, "As JSON, with every name");
  add_convert(*models, options);
  add_hub(*models, options);
}

void add_commands(CLI::App& app, Options& options) {
  const auto add = [&](const char* name, const char* help, Command command) {
    CLI::App* sub = app.add_subcommand(name, help);
    sub->callback([&options, command] { options.command = command; });
    add_plugins(*sub, options);
    return sub;
  };
  CLI::App* run = add("run", "Runs a graph", Command::Run);
  add_request(*run, options);
  run->add_option("--report", options.report, "Writes what was done and measured, as JSON")
      ->type_name("FILE");
  run->add_flag("--quiet", options.quiet, "No progress");
  CLI::App* plan = add("plan", "Prints what a run would do, without running", Command::Plan);
  add_request(*plan, options);
  plan->add_flag("--json", options.json, "As JSON");
  plan->add_flag("--steps", options.steps, "Every step, a line each");
  plan->add_option("--svg", options.svg, "Draws each device's memory over time")->type_name("FILE");
  plan->add_option("--report", options.report, "With --svg: draws what this run measured on top")
      ->type_name("FILE");
  CLI::App* check = add("check", "Names every fault of a graph", Command::Check);
  check->add_option("graph", options.graph)->type_name("GRAPH")->required();
  CLI::App* nodes = add("nodes", "Lists the node types, or tells all about one", Command::Nodes);
  nodes->add_option("id", options.node_type)->type_name("ID");
  nodes
      ->add_option("--why", options.why, "Every library with this node type, and what became of it")
      ->type_name("ID");
  nodes->add_flag("--json", options.json, "As JSON");
  add_models(app, options);
  CLI::App* graph = add("graph", "Prints a graph in Graphviz' language", Command::Graph);
  graph->add_option("graph", options.graph)->type_name("GRAPH")->required();
}

int fail(int status, const std::exception& error) {
  std::istringstream lines(error.what());
  for (std::string line; std::getline(lines, line);) std::cerr << "emulsion: " << line << '\n';
  return status;
}

int run_guarded(const Options& options, const CLI::App& app) {
  if (app.get_subcommands().empty()) {
    std::cerr << "emulsion: a command is missing; see emulsion --help\n";
    return 2;
  }
  try {
    return run_command(options, app.get_subcommands().front()->help("emulsion"));
  } catch (const Cancelled&) {
    std::cerr << "emulsion: cancelled\n";
    return interrupt_status();
  } catch (const GraphError& error) {
    return fail(2, error);
  } catch (const PluginError& error) {
    return fail(2, error);
  } catch (const WeightError& error) {
    return fail(3, error);
  } catch (const PlanError& error) {
    return fail(4, error);
  } catch (const std::exception& error) {
    return fail(1, error);
  }
}

}  // namespace

int run_main(int count, char** arguments) {
  CLI::App app("Runs Stable Diffusion as a graph of nodes, within the memory that it is given.",
               "emulsion");
  app.set_version_flag("--version", EMULSION_VERSION);
  app.require_subcommand(0, 1);  // a name that is none is then told as such
  Options options;
  add_commands(app, options);
  try {
    app.parse(count, arguments);
  } catch (const CLI::Success& request) {
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    std::cerr << "emulsion: " << error.what() << "; see emulsion --help\n";
    return 2;
  }
  return run_guarded(options, app);
}

}  // namespace emulsion::cli

// Leaves without destroying what is static: LibTorch would take its operators back one by one, for
// nobody.
int main(int count, char** arguments) {
  const int status = emulsion::cli::run_main(count, arguments);
  std::cout.flush();
  std::cerr.flush();
  std::_Exit(status);
}
