#include "exec/result_keys.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <type_traits>

#if !defined(_WIN32)
#include <sys/stat.h>
#endif

#include "emulsion/str.h"
#include "emulsion/value.h"

namespace emulsion {
namespace {

// Exact, and so that no two lists of parts read the same.
std::string part(const std::string& text) { return str(text.size(), ":", text, ";"); }

std::string exact(const Param& param) {
  return std::visit(
      [&](const auto& held) {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_same_v<Held, double>)
          return str("f", std::hexfloat, held, ";");
        else
          return part(str(param.index(), "=", held));
      },
      param);
}

std::string folder_now(const std::string& path);

std::string file_now(const std::string& path) {
  std::error_code fault;
  if (std::filesystem::is_directory(path, fault)) return folder_now(path);
  const auto size = std::filesystem::file_size(path, fault);
  if (fault) return "none;";
  const auto time = std::filesystem::last_write_time(path, fault).time_since_epoch().count();
  std::string text = str(size, ",", time);
#if !defined(_WIN32)
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) text += str(",", status.st_ino);
#endif
  return text + ";";
}

// A folder is as the files in it are.
std::string folder_now(const std::string& path) {
  std::set<std::string> files;
  std::error_code fault;
  for (const auto& entry : std::filesystem::directory_iterator(path, fault))
    if (entry.is_regular_file()) files.insert(entry.path().string());
  std::string text;
  for (const std::string& file : files) text += part(file) + file_now(file);
  return text;
}

class KeyMaker {
 public:
  KeyMaker(const Graph& graph, const std::vector<OpenComponent>& components, c10::ScalarType dtype,
           KeyTable& table)
      : graph_(graph), table_(table), dtype_(dtype_text(dtype)), keys_(graph.values.size()) {
    for (const OpenComponent& component : components) identities_.push_back(identity_of(component));
  }

  std::vector<std::optional<ResultKey>> make() {
    for (const Item& item : graph_.order) {
      if (const auto* node = std::get_if<NodeId>(&item))
        make_node(graph_.node(*node));
      else
        make_loop(graph_.loop(std::get<LoopId>(item)));
    }
    return std::move(keys_);
  }

 private:
  void make_node(const GraphNode& node) {
    const std::optional<std::string> text = describe(node);
    if (!text) return;
    for (const auto& [port, value] : node.outputs)
      keys_[index(value)] = table_.key_of(str(*text, ">", port));
  }

  void make_loop(const Loop& loop) {
    local_ = names_within(loop);
    const std::optional<std::string> text = describe(loop);
    local_.clear();
    if (!text) return;
    for (const Carry& carry : loop.carries)
      keys_[index(carry.last)] = table_.key_of(str(*text, ">", carry.name));
  }

  // Values that have no key, since they change from one iteration to the next.
  std::map<ValueId, std::string> names_within(const Loop& loop) const {
    std::map<ValueId, std::string> names{{loop.index, "index"}};
    for (const Carry& carry : loop.carries) names.emplace(carry.current, "carry." + carry.name);
    for (std::size_t i = 0; i < loop.body.size(); ++i)
      for (const auto& [port, value] : graph_.node(loop.body[i]).outputs)
        names.emplace(value, str(i, ".", port));
    return names;
  }

  std::optional<std::string> describe(const Operand& operand) const {
    if (const auto* constant = std::get_if<Param>(&operand)) return exact(*constant);
    const ValueId id = std::get<ValueId>(operand);
    if (const auto local = local_.find(id); local != local_.end()) return part(local->second);
    if (const auto& key = keys_[index(id)]) return str("#", *key, ";");
    return std::nullopt;
  }

  std::optional<std::string> describe(const GraphNode& node) const {
    if (node.type->has_effects) return std::nullopt;
    std::string text = part(node.type->id) + dtype_;
    for (const auto& [name, param] : node.params.values()) {
      text += part(name) + exact(param);
      const ParamSpec* spec = find_param(node.type->params, name);
      const auto* path = std::get_if<std::string>(&param);
      if (spec != nullptr && spec->file && path != nullptr) text += file_now(*path);
    }
    for (const auto& [slot, component] : node.slots)
      text += part(slot) + part(identity_with_branches(component));
    for (const auto& [port, operand] : node.inputs) {
      const std::optional<std::string> source = describe(operand);
      if (!source) return std::nullopt;
      text += part(port) + *source;
    }
    return text;
  }

  std::string identity_with_branches(ComponentId component) const {
    std::string text = identities_[index(component)];
    for (std::size_t i = 0; i < identities_.size(); ++i)
      if (graph_.components[i].beside == component) text += str("\n", identities_[i]);
    return text;
  }

  std::optional<std::string> describe(const Loop& loop) const {
    std::string text = "loop;";
    const auto add = [&](const std::optional<std::string>& more) {
      if (more) text += *more + "|";
      return more.has_value();
    };
    if (!add(describe(loop.count))) return std::nullopt;
    for (const Carry& carry : loop.carries) {
      text += part(carry.name);
      if (carry.from && !add(describe(*carry.from))) return std::nullopt;
      if (!add(describe(Operand(carry.next)))) return std::nullopt;
    }
    for (const NodeId node : loop.body)
      if (!add(describe(graph_.node(node)))) return std::nullopt;
    return text;
  }

  const Graph& graph_;
  KeyTable& table_;
  std::string dtype_;
  std::vector<std::string> identities_;         // by ComponentId
  std::vector<std::optional<ResultKey>> keys_;  // by ValueId
  std::map<ValueId, std::string> local_;        // of the loop that is being described
};

}  // namespace

ResultKey KeyTable::key_of(const std::string& description) {
  return keys_.emplace(description, keys_.size()).first->second;
}

std::vector<std::optional<ResultKey>> result_keys(const Graph& graph,
                                                  const std::vector<OpenComponent>& components,
                                                  c10::ScalarType dtype, KeyTable& table) {
  return KeyMaker(graph, components, dtype, table).make();
}

}  // namespace emulsion
