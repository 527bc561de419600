#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace emulsion::fakes {

// Sets EMULSION_SPEEDS, and puts back what was there.
class GivenSpeeds {
 public:
  explicit GivenSpeeds(const std::filesystem::path& file) {
    if (const char* value = std::getenv("EMULSION_SPEEDS")) before_.emplace(value);
    setenv("EMULSION_SPEEDS", file.c_str(), 1);
  }
  ~GivenSpeeds() {
    if (before_)
      setenv("EMULSION_SPEEDS", before_->c_str(), 1);
    else
      unsetenv("EMULSION_SPEEDS");
  }
  GivenSpeeds(const GivenSpeeds&) = delete;
  GivenSpeeds& operator=(const GivenSpeeds&) = delete;

 private:
  std::optional<std::string> before_;
};

}  // namespace emulsion::fakes
