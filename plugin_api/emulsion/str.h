#pragma once

#include <sstream>
#include <string>

namespace emulsion {

// Writes the arguments one after the other, as operator<< does.  [any thread]
template <class... Args>
std::string str(const Args&... args) {
  std::ostringstream text;
  (text << ... << args);
  return text.str();
}

}  // namespace emulsion
