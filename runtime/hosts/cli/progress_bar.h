#pragma once

#include <chrono>
#include <string>

#include "emulsion/session.h"

namespace emulsion::cli {

// Writes to stderr how far a run or a download is: one line that is drawn over on a terminal, else
// lines: of a run one an iteration, but no more than one a second; of a download one every ten
// seconds, and one at its end.  [run thread]
class ProgressBar {
 public:
  ProgressBar();
  ~ProgressBar();

  void show(const Progress& progress);
  void show(const Download& download);
  // A line of its own, above the bar.
  void print(const std::string& line);

 private:
  void draw(const Progress& progress);
  void draw(double part, const std::string& text);
  void clear();

  bool on_terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_line_{};
};

}  // namespace emulsion::cli
