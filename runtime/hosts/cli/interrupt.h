#pragma once

#include <atomic>

namespace emulsion::cli {

// Becomes true at the first SIGINT or SIGTERM; a second one ends the process at once.
const std::atomic<bool>& interrupt_flag();

// 128 + the signal's number, as shells count.
int interrupt_status();

}  // namespace emulsion::cli
