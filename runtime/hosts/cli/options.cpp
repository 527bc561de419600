#include "options.h"

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion::cli {
namespace {

std::map<std::string, std::string> assignments(const std::string& option,
                                               const std::vector<std::string>& texts) {
  std::map<std::string, std::string> named;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || equals == std::string::npos)
      throw GraphError(str(option, " ", text, ": expected NAME=VALUE"));
    const std::string name = text.substr(0, equals);
    if (!named.emplace(name, text.substr(equals + 1)).second)
      throw GraphError(str(option, " ", name, ": given twice"));
  }
  return named;
}

}  // namespace

Request request_of(const Options& options) {
  return {.graph = options.graph,
          .values = assignments("--set", options.set),
          .files = assignments("--out", options.out),
          .outputs = {},
          .devices = options.devices,
          .dtype = options.dtype,
          .profile = options.profile};
}

}  // namespace emulsion::cli
