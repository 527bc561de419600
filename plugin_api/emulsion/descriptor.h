#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "emulsion/export.h"
#include "emulsion/params.h"
#include "emulsion/port.h"

namespace emulsion {

class Node;

// A parameter as hosts show it.  The kind of `fallback` is the kind of the parameter.
struct ParamSpec {
  std::string name;
  Param fallback;
  std::string help;        // Markdown
  std::string label = {};  // empty: made from the name
  bool optional = false;   // without a value unless one is given; fallback tells the kind
  std::optional<double> min = {}, max = {};                  // inclusive, enforced
  std::optional<double> display_min = {}, display_max = {};  // a slider's range
  std::int64_t multiple_of = 1;                              // whole numbers only, enforced
  std::vector<std::string> choices = {};  // strings only, enforced where there are any
  std::string unit = {};
  bool multiline = false;
  bool file = false;
  bool animatable = true;
};

// A part of a model that a node uses.
struct SlotSpec {
  std::string name;
  std::string help;
  bool has_weights = false;  // the runtime loads them before run()
};

// Which part of making a picture a node belongs to.  Profiles place nodes by it.
enum class Phase : std::uint8_t { Other, Encode, Denoise, Decode };

// All that is known of a node without making one.
struct NodeDescriptor {
  std::string id;       // the folder's name
  std::string summary;  // one sentence
  std::vector<PortSpec> inputs = {}, outputs = {};
  std::vector<ParamSpec> params = {};
  std::vector<SlotSpec> slots = {};
  // Ways to get the same result, fastest first: later ones need less memory.
  std::vector<std::string> variants = {"default"};
  Home runs_on = Home::Device;  // Host: on the CPU, whatever the devices
  Phase phase = Phase::Other;
  bool has_effects = false;  // writes files or the like: run even if nothing else has changed
  // File endings (".png") of a node that reads or writes files.  A host binds a file to an input
  // or output of a graph by adding the first node whose port and ending match, with its 'path'.
  std::vector<std::string> file_endings = {};
  std::function<std::unique_ptr<Node>(const Params&)> create = {};
};

// The named entry, or null.  [any thread]
EMULSION_API const PortSpec* find_port(const std::vector<PortSpec>& ports, std::string_view name);
EMULSION_API const ParamSpec* find_param(const std::vector<ParamSpec>& params,
                                         std::string_view name);

}  // namespace emulsion
