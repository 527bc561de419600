#pragma once

#include <filesystem>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "emulsion/descriptor.h"
#include "graph/node_catalog.h"

namespace emulsion {

// A library that was looked at, and what came of it.
struct PluginFile {
  std::filesystem::path library;
  std::vector<std::string> nodes;  // ids that its manifest lists; empty where there is none
  std::string refusal;             // empty: in use.  Else one line: what, expected, got, what to do
};

// Knows every node type from the manifests beside the libraries and loads a library when the first
// of its nodes is made.  Libraries stay loaded until the process ends.  The first folder that has
// an id wins.  [add_*: one thread, before use; everything else: any thread]
class PluginRegistry {
 public:
  PluginRegistry() = default;
  PluginRegistry(PluginRegistry&&) = default;  // the catalog points into descriptors_
  PluginRegistry& operator=(PluginRegistry&&) = default;

  // Looks at each library of the folder, in the order of names.  A folder that is not there adds
  // nothing.  Throws nothing for a bad library: see files().
  void add_folder(const std::filesystem::path& folder);
  // For tests and hosts: a node type without a library.  Throws PluginError on a duplicate id.
  void add(NodeDescriptor descriptor);

  const NodeCatalog& catalog() const { return catalog_; }
  const std::vector<PluginFile>& files() const { return files_; }
  // The library that a node type comes from; empty for one that was added without.
  std::filesystem::path library_of(std::string_view id) const;
  // Every candidate for the id, a line each, with the reason why it was refused or taken; loads
  // the libraries to see.  `emulsion nodes --why ID` prints it.
  std::string why(std::string_view id) const;

 private:
  class Library;
  void add_library(const std::filesystem::path& path);

  std::list<NodeDescriptor> descriptors_;  // addresses are handed out
  NodeCatalog catalog_;
  std::vector<PluginFile> files_;
  std::vector<std::shared_ptr<Library>> libraries_;  // as files_; null where refused
  std::vector<std::filesystem::path> folders_;
};

// The folders to search, first wins: EMULSION_PLUGIN_PATH's, `folders`, then the one beside
// this runtime.  [any thread]
std::vector<std::filesystem::path> plugin_folders(
    const std::vector<std::filesystem::path>& folders);

}  // namespace emulsion
