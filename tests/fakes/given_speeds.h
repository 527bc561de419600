#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace emulsion::fakes {

// Sets EMULSION_SPEEDS, and puts back what was there.
class GivenSpeeds {
 public:
  explicit GivenSpeeds(const std::filesystem::path& file) {
    if (const char* value = std::getenv("EMULSION_SPEEDS")) before_ = value;
    setenv("EMULSION_SPEEDS", file.c_str(), 1);
  }
  ~GivenSpeeds() { setenv("EMULSION_SPEEDS", before_.c_str(), 1); }
  GivenSpeeds(const GivenSpeeds&) = delete;
  GivenSpeeds& operator=(const GivenSpeeds&) = delete;

 private:
  std::string before_;
};

}  // namespace emulsion::fakes
