#include "plugins/plugin_library.h"

#include <algorithm>
#include <boost/dll/runtime_symbol_info.hpp>
#include <boost/dll/shared_library.hpp>
#include <list>
#include <mutex>
#include <set>
#include <string_view>

#include "emulsion/errors.h"
#include "emulsion/plugin.h"
#include "emulsion/str.h"
#include "plugins/manifest.h"

namespace emulsion {
namespace {

constexpr const char* kDoor = "emulsion_plugin";

// Boost wraps the loader's own words in its own: "… (dlerror system message: <words>): …".
std::string loader_words(const std::string& text) {
  constexpr std::string_view kBefore = "system message: ";
  const std::size_t start = text.find(kBefore);
  const std::size_t end = text.rfind("): ");
  if (start == std::string::npos || end == std::string::npos || end < start) return text;
  return text.substr(start + kBefore.size(), end - start - kBefore.size());
}

boost::dll::shared_library opened(const std::filesystem::path& path) {
  // Absolute, so that the loader does not search its own folders for a bare name.
  return boost::dll::shared_library(
      std::filesystem::absolute(path).string(),
      boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
}

// A plug-in that links LibTorch as usual need not know its folder: it takes what is open, and here
// LibTorch may not be yet; see cmake/EmulsionLate.cmake.
boost::dll::shared_library opened_with_torch(const std::filesystem::path& path) {
  try {
    return opened(path);
  } catch (const boost::system::system_error& error) {
    if (std::string_view(error.what()).find("libtorch") == std::string_view::npos) throw;
    static const auto& torch = *new boost::dll::shared_library(
        "libtorch" + library_suffix(), boost::dll::load_mode::search_system_folders |
                                           boost::dll::load_mode::rtld_lazy |
                                           boost::dll::load_mode::rtld_global);
    if (!torch.is_loaded()) throw;
    return opened(path);
  }
}

// Never freed, so that nothing unloads before the process ends.
boost::dll::shared_library& open_for_good(const std::filesystem::path& path) {
  static std::mutex mutex;
  static auto& libraries = *new std::list<boost::dll::shared_library>;
  try {
    boost::dll::shared_library library = opened_with_torch(path);
    const std::lock_guard lock(mutex);
    return libraries.emplace_back(std::move(library));
  } catch (const boost::system::system_error& error) {
    throw PluginError(str(path.string(), ": cannot be loaded: ", loader_words(error.what()),
                          "; rebuild the plug-in, or install what it needs"));
  }
}

const PluginEntry& checked_entry(const boost::dll::shared_library& library,
                                 const std::string& place) {
  if (!library.has(kDoor))
    throw PluginError(str(place, ": no Emulsion plug-in: expected an exported '", kDoor,
                          "', got none; write EMULSION_PLUGIN(describe) in it, or move it away"));
  const auto& entry = library.get<const PluginEntry>(kDoor);
  if (entry.struct_size < sizeof(PluginEntry))
    throw PluginError(str(place, ": entry: expected ", sizeof(PluginEntry), " bytes, got ",
                          entry.struct_size, "; rebuild the plug-in"));
  check_abi(place, entry.api_major, entry.api_minor,
            entry.abi_stamp == nullptr ? "" : entry.abi_stamp);
  if (entry.describe == nullptr)
    throw PluginError(str(place, ": entry: 'describe' is null; mend the plug-in"));
  return entry;
}

bool is_proper_id(std::string_view id) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_";
  return !id.empty() && id.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

std::vector<NodeDescriptor> load_library(const std::filesystem::path& library) {
  const std::string place = library.string();
  const PluginEntry& entry = checked_entry(open_for_good(library), place);
  std::vector<NodeDescriptor> nodes;
  if (const char* fault = entry.describe(nodes))
    throw PluginError(str(place, ": describe failed: ", fault, "; mend the plug-in"));
  check_nodes(place, nodes);
  const auto lacks_create = [](const NodeDescriptor& node) { return !node.create; };
  const auto lacking = std::ranges::find_if(nodes, lacks_create);
  if (lacking != nodes.end())
    throw PluginError(str(place, ": node '", lacking->id, "': has no create; mend the plug-in"));
  return nodes;
}

void check_nodes(const std::string& place, const std::vector<NodeDescriptor>& nodes) {
  if (nodes.empty()) throw PluginError(str(place, ": describes no node; mend the plug-in"));
  std::set<std::string_view> ids;
  for (const NodeDescriptor& node : nodes) {
    if (!is_proper_id(node.id))
      throw PluginError(
          str(place, ": node '", node.id, "': expected an id of a-z, 0-9 and _; mend the plug-in"));
    if (!ids.insert(node.id).second)
      throw PluginError(str(place, ": node '", node.id, "' is described twice; mend the plug-in"));
    if (node.variants.empty())
      throw PluginError(str(place, ": node '", node.id, "': has no variant; mend the plug-in"));
  }
}

std::string library_suffix() { return boost::dll::shared_library::suffix().string(); }

std::vector<std::filesystem::path> runtime_folders() {
  return {std::filesystem::path(boost::dll::this_line_location().string()).parent_path(),
          std::filesystem::path(boost::dll::program_location().string()).parent_path()};
}

}  // namespace emulsion
