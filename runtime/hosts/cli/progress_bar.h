#pragma once

#include <chrono>
#include <string>

#include "emulsion/session.h"

namespace emulsion::cli {

// Writes to stderr how far a run is: one line that is drawn over on a terminal, else a line an
// iteration, but no more than one a second.  [run thread]
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();

  void show(const Progress& progress);
  // A line of its own, above the bar.
  void print(const std::string& line);

 private:
  void draw(const Progress& progress);
  void clear();

  bool on_terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_line_{};
};

}  // namespace emulsion::cli
