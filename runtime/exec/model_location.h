#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "hub/hub_id.h"

namespace emulsion {

// The hub id that `source` is.  None where it is the path or the name of something that is here, or
// begins with a folder that is: a misspelt path is no question for the hub.  [any thread]
std::optional<HubId> hub_id_of(const std::string& source);

// A model's folder or single file, found without the network: a path, a shipped model's name, or a
// hub id of which the hub's cache has everything.  Throws WeightError with what to do.  [any
// thread]
std::filesystem::path locate_model(const std::string& source);

// What is no whole model: a part, an adapter, an embedding, each a file or a folder.  A path is
// given back as it is, whether anything is there or not.  `what` ("adapter") begins the message.
// Throws WeightError where `source` is a hub id of which the hub's cache lacks something.  [any
// thread]
std::filesystem::path locate_file(const std::string& what, const std::string& source);

}  // namespace emulsion
