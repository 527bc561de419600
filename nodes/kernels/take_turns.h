#pragma once

#include <ATen/Parallel.h>

#include <atomic>
#include <cstdint>

namespace emulsion::kernels {

// Calls work(i, thread) once for each i of 0 ... count - 1, on all threads of LibTorch's pool; 0 <=
// thread < at::get_num_threads().  Each takes what is next, so that one that is held up by other
// processes keeps nobody waiting for more than a piece.
template <class Work>
void take_turns(std::int64_t count, const Work& work) {
  std::atomic<std::int64_t> next{0};
  const auto take = [&](std::int64_t thread) {
    for (std::int64_t i = next++; i < count; i = next++) work(i, thread);
  };
  const std::int64_t threads = std::min<std::int64_t>(at::get_num_threads(), count);
  at::parallel_for(0, threads, 1, [&](std::int64_t begin, std::int64_t /*end*/) { take(begin); });
}

}  // namespace emulsion::kernels
