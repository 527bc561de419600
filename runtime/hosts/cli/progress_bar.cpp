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

constexpr std::size_t kWidth = 30;  // characters of the bar

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

std::string download_text(const Download& download) {
  std::string text = str(format_bytes(download.bytes_done), " of ", format_bytes(download.bytes));
  const auto left = static_cast<double>(download.bytes - download.bytes_done);
  if (left > 0 && download.bytes_per_second > 0) {
    const auto speed = static_cast<Bytes>(download.bytes_per_second);
    text += str(", ", format_bytes(speed), "/s, ", time_text(left / download.bytes_per_second),
                " left");
  }
  return str(download.model, ": ", text);
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

void ProgressBar::show(const Download& download) {
  const double part = download.bytes == 0 ? 1
                                          : static_cast<double>(download.bytes_done) /
                                                static_cast<double>(download.bytes);
  if (on_terminal_) return draw(part, download_text(download));
  const auto now = std::chrono::steady_clock::now();
  const bool finished = download.files_done == download.files;
  if (!finished && now - last_line_ < std::chrono::seconds(10)) return;
  last_line_ = now;
  print("downloading " + download_text(download));
}

void ProgressBar::draw(const Progress& progress) {
  clear();
  drawn_ = true;
  if (progress.iterations == 0) {
    std::cerr << progress.node << " …" << std::flush;
    return;
  }
  draw(static_cast<double>(progress.iteration) / static_cast<double>(progress.iterations),
       iterations_text(progress));
}

void ProgressBar::draw(double part, const std::string& text) {
  clear();
  drawn_ = true;
  const auto filled = static_cast<std::size_t>(part * kWidth);
  std::cerr << '[' << std::string(filled, '#') << std::string(kWidth - filled, '.') << "] " << text
            << std::flush;
}

}  // namespace emulsion::cli
