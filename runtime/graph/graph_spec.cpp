#include "graph/graph_spec.h"

#include <filesystem>

#include "graph/json_reader.h"
#include "graph/near_names.h"
#include "graph/parse_inputs.h"
#include "graph/parse_resources.h"

namespace emulsion {
namespace {

constexpr std::int64_t kVersion = 1;

// "a.b"; the member may have more dots, so that validate() can say what is wrong with them.
std::optional<WireRef> wire_in(const std::string& text) {
  const std::size_t dot = text.find('.');
  if (dot == std::string::npos || dot + 1 == text.size()) return std::nullopt;
  if (!is_name(std::string_view(text).substr(0, dot))) return std::nullopt;
  return WireRef{text.substr(0, dot), text.substr(dot + 1)};
}

class SpecReader {
 public:
  SpecReader(GraphSpec& spec, Faults& faults) : spec_(spec), faults_(faults) {}

  void read(const Json& document) {
    ObjectReader reader(document, "", faults_);
    reader.find("emulsion");
    reader.find("$schema");
    spec_.description = reader.text("description");
    if (const Json* inputs = reader.find("inputs")) spec_.inputs = parse_inputs(*inputs, faults_);
    if (const Json* resources = reader.find("resources"))
      spec_.resources = parse_resources(*resources, faults_);
    if (const Json* nodes = reader.required("nodes")) read_nodes(*nodes);
    if (const Json* outputs = reader.required("outputs")) read_outputs(*outputs);
    reader.refuse_other_keys();
  }

 private:
  void read_nodes(const Json& nodes) {
    for_each_named(nodes, "/nodes", faults_,
                   [&](const auto& name, const Json& json, const auto& path) {
                     if (json.is_object() && json.contains("loop"))
                       spec_.nodes.emplace_back(read_loop(name, json, path));
                     else
                       spec_.nodes.emplace_back(read_node(name, json, path));
                   });
  }

  NodeSpec read_node(const std::string& name, const Json& json, const std::string& path) {
    if (name == "carry" || name == "loop")
      faults_.add(path, "node '", name,
                  "': the name is reserved for the body of a loop; rename it");
    ObjectReader reader(json, path, faults_);
    NodeSpec node{.name = name, .path = path, .type = reader.required_text("type")};
    node.use = entries(reader, "use", &SpecReader::part);
    node.params = entries(reader, "params", &SpecReader::setting);
    node.in = entries(reader, "in", &SpecReader::feed);
    reader.refuse_other_keys();
    return node;
  }

  LoopSpec read_loop(const std::string& name, const Json& json, const std::string& path) {
    ObjectReader outer(json, path, faults_);
    ObjectReader reader(*outer.find("loop"), outer.path_of("loop"), faults_);
    outer.refuse_other_keys();
    LoopSpec loop{.name = name, .path = path};
    loop.count = {"count", reader.path_of("count"), {}};
    if (const Json* count = reader.required("count"))
      loop.count.term = feed(*count, loop.count.path);
    if (const Json* carries = reader.find("carry"))
      for_each_named(*carries, reader.path_of("carry"), faults_,
                     [&](const auto& carry, const Json& value, const auto& at) {
                       loop.carries.push_back(read_carry(carry, value, at));
                     });
    if (const Json* nodes = reader.required("nodes"))
      for_each_named(*nodes, reader.path_of("nodes"), faults_,
                     [&](const auto& node, const Json& value, const auto& at) {
                       if (value.is_object() && value.contains("loop"))
                         faults_.add(at, "a loop in loop '", name,
                                     "': expected nodes; loops do not nest");
                       else
                         loop.nodes.push_back(read_node(node, value, at));
                     });
    reader.refuse_other_keys();
    return loop;
  }

  CarrySpec read_carry(const std::string& name, const Json& json, const std::string& path) {
    if (name == "index")
      faults_.add(path, "carry 'index': the name is taken by the loop's counter; rename it");
    ObjectReader reader(json, path, faults_);
    CarrySpec carry{.name = name, .path = path, .from = {}, .next = {"next", path + "/next", {}}};
    if (const Json* from = reader.find("from"))
      carry.from = Entry{"from", reader.path_of("from"), feed(*from, reader.path_of("from"))};
    const Json* next = reader.find("next");
    if (next != nullptr)
      carry.next.term = wire(*next, carry.next.path);
    else if (reader.is_object())
      faults_.add(
          carry.next.path, "carry '", name,
          "' has no next: expected \"node.output\" of a node in the loop; add the key 'next'");
    reader.refuse_other_keys();
    return carry;
  }

  void read_outputs(const Json& outputs) {
    for_each_named(outputs, "/outputs", faults_,
                   [&](const auto& name, const Json& json, const auto& path) {
                     spec_.outputs.push_back({name, path, wire(json, path)});
                   });
  }

  using Reading = Term (SpecReader::*)(const Json&, const std::string&);

  std::vector<Entry> entries(ObjectReader& reader, const std::string& key, Reading reading) {
    const Json* object = reader.find(key);
    std::vector<Entry> read;
    if (object == nullptr) return read;
    for_each_named(*object, reader.path_of(key), faults_,
                   [&](const auto& name, const Json& json, const auto& path) {
                     read.push_back({name, path, (this->*reading)(json, path)});
                   });
    return read;
  }

  Term setting(const Json& json, const std::string& path) {
    return setting_in(json, path, faults_);
  }

  // What feeds a port: "$input", "node.output", a number, a bool, or {"text": "…"}.
  Term feed(const Json& json, const std::string& path) {
    if (json.is_string()) {
      const std::string& text = json.get_ref<const std::string&>();
      if (text.starts_with("$")) return InputRef{text.substr(1)};
      if (std::optional<WireRef> found = wire_in(text)) return *found;
      faults_.add(path, "expected \"$input\" or \"node.output\", got ", quote(text),
                  "; a constant text is written {\"text\": \"…\"}");
      return {};
    }
    if (json.is_object() && json.size() == 1 && json.contains("text") && json["text"].is_string())
      return Param(json["text"].get<std::string>());
    if (std::optional<Param> literal = literal_in(json)) return *literal;
    faults_.add(path,
                "expected \"$input\", \"node.output\", a number, a bool or {\"text\": \"…\"}, got ",
                kind_text(json));
    return {};
  }

  // "node.output", "loop.carry" or, of a resource, "resource.part".
  Term wire_of(const Json& json, const std::string& path, std::string_view expected) {
    if (json.is_string())
      if (std::optional<WireRef> found = wire_in(json.get_ref<const std::string&>())) return *found;
    faults_.add(path, "expected ", expected, ", got ",
                json.is_string() ? quote(json.get_ref<const std::string&>())
                                 : std::string(kind_text(json)));
    return {};
  }
  Term wire(const Json& json, const std::string& path) {
    return wire_of(json, path, "\"node.output\"");
  }
  Term part(const Json& json, const std::string& path) {
    return wire_of(json, path, "\"resource.part\"");
  }

  GraphSpec& spec_;
  Faults& faults_;
};

void check_version(const Json& document, const std::string& file) {
  if (!document.is_object())
    throw GraphError(str(file, ": expected an object, got ", kind_text(document)));
  const auto version = document.find("emulsion");
  const std::string expected = str("expected \"emulsion\": ", kVersion);
  if (version == document.end())
    throw GraphError(str(file, ": /emulsion: no version: ", expected,
                         "; add it if this is a graph of Emulsion"));
  if (!version->is_number_integer() || *version != kVersion)
    throw GraphError(str(file, ": /emulsion: unknown version: ", expected, ", got ",
                         version->is_number() ? version->dump() : std::string(kind_text(*version)),
                         "; it was made by another version of Emulsion"));
}

}  // namespace

GraphSpec parse_graph(std::string_view json, const std::string& file_name) {
  GraphSpec spec;
  spec.file = file_name;
  spec.name = std::filesystem::path(file_name).stem().string();
  Faults faults(file_name);
  const Json document = parse_json(json, file_name, faults);
  check_version(document, file_name);
  SpecReader(spec, faults).read(document);
  spec.faults = faults.lines();
  return spec;
}

const GraphInput& input_named(const GraphSpec& spec, std::string_view name) {
  std::vector<std::string> names;
  for (const GraphInput& input : spec.inputs) {
    if (input.name == name) return input;
    names.push_back(input.name);
  }
  throw GraphError(str(spec.file, ": unknown input", expected_one_of(names, name)));
}

const std::string& name_of(const ItemSpec& item) {
  return std::visit([](const auto& spec) -> const std::string& { return spec.name; }, item);
}

}  // namespace emulsion
