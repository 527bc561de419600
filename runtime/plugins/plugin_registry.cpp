#include "plugins/plugin_registry.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <utility>

#include "emulsion/errors.h"
#include "emulsion/node.h"
#include "emulsion/str.h"
#include "plugins/manifest.h"
#include "plugins/plugin_library.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

// Both describe the same nodes: else graphs were checked against something that will not run.
void check_fresh(const std::string& place, const std::vector<NodeDescriptor>& listed,
                 const std::vector<NodeDescriptor>& described) {
  const auto ids = [](const std::vector<NodeDescriptor>& nodes) {
    std::string text;
    for (const NodeDescriptor& node : nodes) text += str(text.empty() ? "" : ", ", node.id);
    return text;
  };
  constexpr const char* kRemedy = "; write the manifest again with emulsion-describe";
  if (ids(listed) != ids(described))
    throw PluginError(str(place, ": stale manifest: expected nodes '", ids(described), "', got '",
                          ids(listed), "'", kRemedy));
  for (std::size_t i = 0; i < listed.size(); ++i)
    if (to_json(listed[i]) != to_json(described[i]))
      throw PluginError(str(place, ": stale manifest: node '", listed[i].id,
                            "' is another than the library's", kRemedy));
}

bool same_place(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  return fs::weakly_canonical(a, ignored) == fs::weakly_canonical(b, ignored);
}

std::vector<fs::path> libraries_in(const fs::path& folder) {
  std::vector<fs::path> libraries;
  std::error_code unreadable;  // a folder that is not there has no entries
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, unreadable))
    if (entry.path().extension() == library_suffix()) libraries.push_back(entry.path());
  std::ranges::sort(libraries);
  return libraries;
}

std::vector<fs::path> environment_folders() {
#if defined(_WIN32)
  constexpr char kSeparator = ';';
#else
  constexpr char kSeparator = ':';
#endif
  const char* variable = std::getenv("EMULSION_PLUGIN_PATH");
  std::vector<fs::path> folders;
  std::string_view rest = variable == nullptr ? "" : variable;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(kSeparator), rest.size());
    if (end > 0) folders.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return folders;
}

}  // namespace

// One library, loaded when the first of its nodes is made.  A fault stays.  [any thread]
class PluginRegistry::Library {
 public:
  explicit Library(fs::path path) : path_(std::move(path)) {
    if (const std::optional<Manifest> manifest = read_manifest(path_)) {
      check_nodes(path_.string(), manifest->nodes);
      listed_ = manifest->nodes;
      return;
    }
    load();
    if (!fault_.empty()) throw PluginError(fault_);
    listed_ = described_;
    for (NodeDescriptor& node : listed_) node.create = nullptr;
  }

  const fs::path& path() const { return path_; }

  // Without `create`.
  const std::vector<NodeDescriptor>& nodes() const { return listed_; }

  std::unique_ptr<Node> make(std::string_view id, const Params& params) {
    load();
    if (!fault_.empty()) throw PluginError(fault_);
    return std::ranges::find(described_, id, &NodeDescriptor::id)->create(params);
  }

  // Why it cannot be used, or empty; loads it to see.
  const std::string& fault() {
    load();
    return fault_;
  }

 private:
  void load() {
    std::call_once(loaded_, [this] {
      try {
        described_ = load_library(path_);
        if (!listed_.empty()) check_fresh(path_.string(), listed_, described_);
      } catch (const std::exception& fault) {
        fault_ = fault.what();
      }
    });
  }

  fs::path path_;
  std::once_flag loaded_;
  std::vector<NodeDescriptor> listed_, described_;  // described_ and fault_: once loaded
  std::string fault_;
};

void PluginRegistry::add_folder(const fs::path& folder) {
  folders_.push_back(folder);
  for (const fs::path& path : libraries_in(folder)) add_library(path);
}

void PluginRegistry::add_library(const fs::path& path) {
  PluginFile file{.library = path, .nodes = {}, .refusal = {}};
  std::shared_ptr<Library> library;
  try {
    library = std::make_shared<Library>(path);
    for (const NodeDescriptor& node : library->nodes()) file.nodes.push_back(node.id);
    for (const std::string& id : file.nodes)
      if (catalog_.contains(id))
        throw PluginError(str(path.string(), ": node '", id, "' is already that of '",
                              library_of(id).string(), "'; move one of the two away"));
    for (NodeDescriptor node : library->nodes()) {
      node.create = [library, id = node.id](const Params& params) {
        return library->make(id, params);
      };
      add(std::move(node));
    }
  } catch (const std::exception& fault) {
    file.refusal = fault.what();
    library = nullptr;
  }
  files_.push_back(std::move(file));
  libraries_.push_back(std::move(library));
}

void PluginRegistry::add(NodeDescriptor descriptor) {
  if (catalog_.contains(descriptor.id))
    throw PluginError(str("node '", descriptor.id, "' is already there"));
  const NodeDescriptor& kept = descriptors_.emplace_back(std::move(descriptor));
  catalog_.emplace(kept.id, &kept);
}

fs::path PluginRegistry::library_of(std::string_view id) const {
  for (const std::shared_ptr<Library>& library : libraries_)
    if (library != nullptr && std::ranges::count(library->nodes(), id, &NodeDescriptor::id) > 0)
      return library->path();
  return {};
}

std::string PluginRegistry::why(std::string_view id) const {
  std::string lines;
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const PluginFile& file = files_[i];
    // What a library without a readable manifest holds is not known, so it may be the one.
    if (!file.nodes.empty() && std::ranges::count(file.nodes, id) == 0) continue;
    const std::string& refusal = libraries_[i] != nullptr ? libraries_[i]->fault() : file.refusal;
    lines +=
        refusal.empty() ? str(file.library.string(), ": taken\n") : str("refused: ", refusal, "\n");
  }
  if (catalog_.contains(id) && library_of(id).empty())
    lines += str("node '", id, "' is part of this program\n");
  if (!catalog_.contains(id)) {
    lines += str("no usable library has node '", id, "'; looked in:");
    for (const fs::path& folder : folders_) lines += str(" '", folder.string(), "'");
    lines += folders_.empty() ? " no folder\n" : "\n";
  }
  return lines;
}

std::vector<fs::path> plugin_folders(const std::vector<fs::path>& folders) {
  std::vector<fs::path> found = environment_folders();
  found.insert(found.end(), folders.begin(), folders.end());
  for (const fs::path& base : runtime_folders()) {
    found.push_back(base / "emulsion" / "nodes");
    found.push_back(base.parent_path() / "lib" / "emulsion" / "nodes");
  }
  // A folder given twice would have its own libraries refused as duplicates.
  std::vector<fs::path> distinct;
  std::error_code ignored;
  for (const fs::path& folder : found) {
    const auto same = [&](const fs::path& other) { return same_place(folder, other); };
    if (fs::is_directory(folder, ignored) && std::ranges::none_of(distinct, same))
      distinct.push_back(folder);
  }
  return distinct;
}

}  // namespace emulsion
