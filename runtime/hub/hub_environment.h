#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include "hub/token.h"

namespace emulsion {

// Where the hub and its cache are, and how to use them: as the hub's own tools read it from the
// environment, so that all share one cache.
struct HubEnvironment {
  std::filesystem::path cache;  // empty where the system names no home
  std::string endpoint;         // "https://hub.example", without '/' at the end
  Token token;                  // may be empty
  bool offline = false;
  bool symlinks = true;
  std::chrono::seconds listing_timeout{10};   // until something comes
  std::chrono::seconds download_timeout{10};  // without anything coming
};

// A variable's value; empty where it is not set.
using Variables = std::function<std::string(const std::string& name)>;

// Throws GraphError on a variable that makes no sense.  Reads the token's file.  [any thread]
HubEnvironment read_hub_environment(const Variables& variables);

// The same of this process.
HubEnvironment read_hub_environment();

}  // namespace emulsion
