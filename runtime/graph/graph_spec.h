#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "emulsion/params.h"
#include "graph/inputs.h"

namespace emulsion {

// "$prompt"
struct InputRef {
  std::string name;
};

// "encode.condition"; in the body of a loop also "carry.latent" and "loop.index".
struct WireRef {
  std::string owner, member;
};

// monostate: absent or of a wrong form, and reported as such.
using Term = std::variant<std::monostate, Param, InputRef, WireRef>;

// One member of `in`, `params` or `use`, or one value of its own.
struct Entry {
  std::string name;
  std::string path;  // RFC 6901: "/nodes/denoise/loop/nodes/unet/in/latent"
  Term term;
};

// What a resource is made from.  The names of other resources are literal texts.
struct ResourceSpec {
  std::string name, path;
  std::string type;                // "checkpoint", "merge", "lora"; empty only in a faulty document
  std::vector<Entry> values = {};  // "source", "base", "strength", …: literals and inputs
  // By part, another model to take it from, or another ratio; of a lora, factors by block.
  std::vector<Entry> table = {};
};

struct NodeSpec {
  std::string name, path;
  std::string type;  // empty only in a faulty document
  std::vector<Entry> use = {}, params = {}, in = {};
};

struct CarrySpec {
  std::string name, path;
  std::optional<Entry> from = {};  // absent: the first iteration has no value
  Entry next = {};
};

struct LoopSpec {
  std::string name, path;
  Entry count = {};
  std::vector<CarrySpec> carries = {};
  std::vector<NodeSpec> nodes = {};
};

using ItemSpec = std::variant<NodeSpec, LoopSpec>;

// A graph as it is written: every name is still text.  Members keep the document's order.
struct GraphSpec {
  std::string file;  // for messages
  std::string name;  // the file's, without folder and ending
  std::string description;
  std::vector<GraphInput> inputs;
  std::vector<ResourceSpec> resources;
  std::vector<ItemSpec> nodes;
  std::vector<Entry> outputs;
  // What is wrong with the form, a line each; validate() reports them with its own.
  std::vector<std::string> faults;
};

// Reads a document.  Throws GraphError where there is none to judge: text that is not JSON (with
// line and column), that is no object, is nested deeper than 64 levels, or has another version; all
// other faults go to `faults`.  [any thread]
GraphSpec parse_graph(std::string_view json, const std::string& file_name);

// Throws GraphError with the near names when the graph has no such input.  [any thread]
const GraphInput& input_named(const GraphSpec& spec, std::string_view name);

// Of a node or a loop.  [any thread]
const std::string& name_of(const ItemSpec& item);

}  // namespace emulsion
