#include "progress_bar.h"

#include <cmath>
#include <cstdint>
#include <iostream>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

#include "emulsion/str.h"

namespace emulsion::cli {
namespace {

constexpr std::int64_t kWidth = 30;  // characters of the bar

bool stderr_is_terminal() {
#if defined(_WIN32)
  return _isatty(2) != 0;
#else
  return isatty(STDERR_FILENO) != 0;
#endif
}

std::string time_text(double seconds) {
  if (seconds < 10) return str(std::round(seconds * 10) / 10, " s");
  if (seconds < 120) return str(std::llround(seconds), " s");
  return str(std::llround(seconds / 60), " min");
}

std::string iterations_text(const Progress& progress) {
  std::string text = str(progress.iteration, "/", progress.iterations);
  if (progress.seconds_left > 0) text += str(", ", time_text(progress.seconds_left), " left");
  return text;
}

}  // namespace

ProgressBar::ProgressBar() : on_terminal_(stderr_is_terminal()) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::clear() {
  if (drawn_) std::cerr << "\r\033[K" << std::flush;
  drawn_ = false;
}

void ProgressBar::print(const std::string& line) {
  clear();
  std::cerr << line << '\n' << std::flush;
}

void ProgressBar::show(const Progress& progress) {
  if (on_terminal_) return draw(progress);
  const auto now = std::chrono::steady_clock::now();
  const bool finished = progress.iteration == progress.iterations;
  const bool iterated = progress.node.empty() && progress.iterations > 0;
  if (!iterated || (!finished && now - last_line_ < std::chrono::seconds(1))) return;
  last_line_ = now;
  print(str("step ", iterations_text(progress)));
}

void ProgressBar::draw(const Progress& progress) {
  clear();
  drawn_ = true;
  if (progress.iterations == 0) {
    std::cerr << progress.node << " …" << std::flush;
    return;
  }
  const std::int64_t filled = kWidth * progress.iteration / progress.iterations;
  std::cerr << '[' << std::string(static_cast<std::size_t>(filled), '#')
            << std::string(static_cast<std::size_t>(kWidth - filled), '.') << "] "
            << iterations_text(progress) << std::flush;
}

}  // namespace emulsion::cli
