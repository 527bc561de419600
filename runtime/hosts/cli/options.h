#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "emulsion/session.h"

namespace emulsion::cli {

enum class Command { Run, Plan, Check, Nodes, Graph, Bench, Inspect, Convert, Pull, List };

// The command line, taken apart but not yet judged.
struct Options {
  Command command = Command::Run;
  std::string graph;
  std::string model;                  // `models inspect MODEL`, `models pull MODEL`
  ModelConversion conversion;         // `models convert SOURCE TARGET`
  std::vector<std::string> set, out;  // NAME=VALUE
  std::vector<std::string> devices;
  std::string dtype = "auto", profile = "auto";
  std::string report;  // `run` writes it, `plan` reads it
  std::string svg;     // `plan --svg FILE`
  std::vector<std::filesystem::path> plugin_folders;
  bool quiet = false, json = false, steps = false, help = false, verify = false;
  std::string node_type;  // `nodes ID`
  std::string why;        // `nodes --why ID`
};

// What `run` and `plan` ask of a session.  Throws GraphError where a NAME=VALUE is none.
Request request_of(const Options& options);

}  // namespace emulsion::cli
