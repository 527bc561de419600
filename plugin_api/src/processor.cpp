#include "emulsion/processor.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>
#include <string>
#include <thread>

#if defined(__linux__)
#include <dlfcn.h>
#include <sched.h>
#endif

#include "emulsion/str.h"

namespace emulsion {
namespace {

#if defined(__linux__)
bool torch_is_loaded() {
  void* const loaded = dlopen("libtorch_cpu.so", RTLD_LAZY | RTLD_NOLOAD);
  if (loaded != nullptr) dlclose(loaded);
  return loaded != nullptr;
}

// Threads of one core name the same siblings.
int usable_cores() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 0;
  std::set<std::string> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::ifstream file(str("/sys/devices/system/cpu/cpu", cpu, "/topology/thread_siblings_list"));
    std::string siblings = str("unknown ", cpu);
    std::getline(file, siblings);
    cores.insert(siblings);
  }
  return static_cast<int>(cores.size());
}
#else
bool torch_is_loaded() { return true; }  // it is linked

int usable_cores() { return 0; }
#endif

// The whole number that the variable begins with (OpenMP's may be a list), or 0.
int number_in(const char* variable) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? 0 : std::max(0, std::atoi(text));
}

int expected_threads() {
  for (const char* variable : {"MKL_NUM_THREADS", "OMP_NUM_THREADS"})
    if (const int number = number_in(variable); number > 0) return number;
  const int cores = usable_cores();
  return cores > 0 ? cores : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

Bfloat16 bfloat16_products() {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512bf16") != 0) return Bfloat16::Supported;
  const bool has_kernels = __builtin_cpu_supports("avx512bw") != 0 &&
                           __builtin_cpu_supports("avx512vl") != 0 &&
                           __builtin_cpu_supports("avx512dq") != 0;
  return has_kernels ? Bfloat16::Widened : Bfloat16::None;
#else
  return Bfloat16::Widened;
#endif
}

bool has_tile_products() {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
  __builtin_cpu_init();
  return __builtin_cpu_supports("amx-bf16") != 0;
#else
  return false;
#endif
}

int thread_count() {
  static const int expected = expected_threads();
  return torch_is_loaded() ? at::get_num_threads() : expected;
}

}  // namespace emulsion
