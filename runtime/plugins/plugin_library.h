#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "emulsion/descriptor.h"

namespace emulsion {

// Loads the library, checks its door, and gives what it describes.  It stays loaded until the
// process ends: a node, a deleter, a vtable or an exception of an unloaded library would crash.
// Throws PluginError with one line: file, what, expected, got, what to do.  [any thread]
std::vector<NodeDescriptor> load_library(const std::filesystem::path& library);

// Throws PluginError, led by `place`, unless there is a node, each has a proper id, no id comes
// twice, and each has a variant.  [any thread]
void check_nodes(const std::string& place, const std::vector<NodeDescriptor>& nodes);

// ".so", ".dylib" or ".dll".  [any thread]
std::string library_suffix();

// Where the code of this runtime lies: the folder of libemulsion, or of the program that it is
// linked into; then the folder of the program.  [any thread]
std::vector<std::filesystem::path> runtime_folders();

}  // namespace emulsion
