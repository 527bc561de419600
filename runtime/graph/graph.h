#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "emulsion/descriptor.h"

namespace emulsion {

// Positions in the vectors of one Graph.
enum class NodeId : std::uint32_t {};
enum class ValueId : std::uint32_t {};
enum class ComponentId : std::uint32_t {};
enum class LoopId : std::uint32_t {};
enum class ResourceId : std::uint32_t {};

template <class Id>
constexpr std::size_t index(Id id) {
  return static_cast<std::size_t>(id);
}

// What feeds an input: a value made in the run, or a constant of the document.
using Operand = std::variant<ValueId, Param>;

// A value that the run makes: an output of a node, a carry of a loop, a loop's index.
struct ValueInfo {
  std::string name;  // "encode.condition", "denoise.latent", "denoise.index"
  PortType type;
};

// A file that changes a model's weights, and how much.
struct AdapterRef {
  std::string source;  // the file
  double strength = 1;
};

// A model: as it is found, or made from others, which stand before it.
struct Resource {
  struct Checkpoint {
    std::string source;  // a folder, a file, or the name of a shipped model; empty where unset
    std::map<std::string, std::string> parts = {};  // taken from elsewhere: "vae" -> its source
    std::string weight_dtype = "default";           // of the UNet, or "int8"
  };
  struct Merge {  // (1 - ratio) a + ratio b
    ResourceId a{}, b{};
    double ratio = 0;
    std::map<std::string, double> ratios = {};  // by part, where it is another
  };
  struct Lora {
    ResourceId base{};
    std::vector<AdapterRef> adapters;           // applied in this order; at least one
    std::map<std::string, double> blocks = {};  // the start of a weight's name -> factor
  };
  std::string name;
  std::string place;  // for messages: "sd21.json: resource 'sd'"
  std::variant<Checkpoint, Merge, Lora> made;
};

// A part of a model, as the document names it.
struct ComponentRef {
  std::string name;  // "sd.unet"
  ResourceId resource{};
  std::string part;  // "unet"
  // Set for what an adapter adds to a part: whoever uses that part uses it, too.
  std::optional<ComponentId> beside = {};
};

struct GraphNode {
  std::string name;                          // "tokens", "denoise.unet"
  std::string place;                         // for messages: "sd21.json: node 'denoise.unet'"
  const NodeDescriptor* type = nullptr;      // lives as long as the catalog
  Params params;                             // complete and in range
  std::map<std::string, Operand> inputs;     // optional ones may be absent
  std::map<std::string, ComponentId> slots;  // all of the descriptor's
  std::map<std::string, ValueId> outputs;    // all of the descriptor's
};

struct Carry {
  std::string name;
  PortType type;
  std::optional<Operand> from;  // absent: the first iteration finds the value absent
  ValueId current;              // what the body reads
  ValueId next;                 // a value of the body: what the following iteration reads
  ValueId last;                 // what the loop gives to the outside
};

// A region that repeats.  Its body may read outer values; outside, only carries can be read.
struct Loop {
  std::string name;
  std::string place;
  Operand count;  // an int
  ValueId index;  // an int, 0 .. count-1, for the body
  std::vector<Carry> carries;
  std::vector<NodeId> body;  // in running order
};

using Item = std::variant<NodeId, LoopId>;

struct GraphOutput {
  std::string name;
  ValueId value;
};

// A checked document with its inputs filled in.  Made only by validate(), so that what comes after
// has no checks: every id is in range, every wire fits, the order respects every wire, loops do
// not nest.  Immutable.  [any thread]
struct Graph {
  std::string name;  // of the document: "sd21_txt2img"
  std::vector<GraphNode> nodes;
  std::vector<Loop> loops;
  std::vector<ValueInfo> values;
  std::vector<Resource> resources;
  std::vector<ComponentRef> components;
  std::vector<Item> order;  // running order; a loop's body is inside the loop only
  std::vector<GraphOutput> outputs;

  const GraphNode& node(NodeId id) const { return nodes[index(id)]; }
  const Loop& loop(LoopId id) const { return loops[index(id)]; }
  const ValueInfo& value(ValueId id) const { return values[index(id)]; }
  const Resource& resource(ResourceId id) const { return resources[index(id)]; }
  const ComponentRef& component(ComponentId id) const { return components[index(id)]; }
};

}  // namespace emulsion
