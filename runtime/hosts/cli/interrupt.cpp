#include "interrupt.h"

#include <csignal>

namespace emulsion::cli {
namespace {

std::atomic<bool> interrupted{false};
std::atomic<int> received{SIGINT};
static_assert(std::atomic<bool>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "a signal handler may touch nothing that locks");

void on_signal(int number) {
  received = number;
  interrupted = true;
  std::signal(number, SIG_DFL);
}

}  // namespace

const std::atomic<bool>& interrupt_flag() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  return interrupted;
}

int interrupt_status() { return 128 + received; }

}  // namespace emulsion::cli
