#include "exec/speed_file.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <torch/headeronly/version.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>

#include "emulsion/errors.h"
#include "emulsion/processor.h"
#include "emulsion/str.h"
#include "exec/speed_bench.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Where programs keep what they can make again; empty where the system names no such folder.
fs::path cache_folder() {
#if defined(_WIN32)
  const fs::path base = environment("LOCALAPPDATA");
#elif defined(__APPLE__)
  const std::string home = environment("HOME");
  const fs::path base = home.empty() ? fs::path() : fs::path(home) / "Library" / "Caches";
#else
  const std::string chosen = environment("XDG_CACHE_HOME"), home = environment("HOME");
  const fs::path base = !chosen.empty() ? fs::path(chosen)
                        : home.empty()  ? fs::path()
                                        : fs::path(home) / ".cache";
#endif
  return base.empty() ? base : base / "emulsion";
}

std::string processor() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 1);
  return environment("PROCESSOR_IDENTIFIER");
}

// Everything that a measurement depends on.
std::string circumstances(const DeviceBudget& device) {
  std::string text =
      str(device.device.str(), '|', processor(), '|', thread_count(), '|', TORCH_VERSION);
  if (!device.device.is_cpu()) {
    const auto memory =
        at::getDeviceAllocator(device.device.type())->getMemoryInfo(device.device.index());
    text += str('|', memory.second);
  }
  return text;
}

// FNV-1a: the same in every process and on every platform.
std::string hash_text(const std::string& text) {
  std::uint64_t hash = 14695981039346656037U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return str(std::hex, hash);
}

std::optional<std::string> text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return std::nullopt;
  return std::string((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
}

std::optional<DeviceSpeed> read_speed(const fs::path& file, const std::string& row) {
  const auto text = text_of(file);
  if (!text) return std::nullopt;
  try {
    const SpeedTable table = parse_speeds(*text, file.string());
    const auto found = table.find(row);
    return found != table.end() ? std::optional(found->second) : std::nullopt;
  } catch (const PlanError&) {
    return std::nullopt;  // it is measured again, and the file is replaced
  }
}

// A file that is there is a whole one.
void write_speed(const fs::path& file, const std::string& row, const DeviceSpeed& speed) {
  const fs::path partial = file.string() + ".partial";
  std::ofstream stream(partial, std::ios::binary);
  stream << to_json(SpeedTable{{row, speed}}) << std::flush;
  std::error_code fault;
  if (stream) fs::rename(partial, file, fault);
  if (!stream || fault) fs::remove(partial, fault);
}

// The row that is measured for a device: logical ones compute as the cpu does.
DeviceBudget measured_device(const DeviceBudget& device) {
  return device.device.is_cpu() ? DeviceBudget{.name = "cpu"} : device;
}

// A typical accelerator, to which this host brings weights as fast as it reads and passes them on.
DeviceSpeed simulated_beside(const DeviceSpeed& host) {
  DeviceSpeed speed = typical_speeds().at("sim");
  speed.read = 1 / (1 / host.map + 1 / speed.from_host);
  speed.convert = 1 / (1 / host.convert + 1 / speed.from_host);
  return speed;
}

SpeedStore& user_store() {
  static SpeedStore store(cache_folder(), measure_speed);
  return store;
}

SpeedTable given_table() {
  const std::string file = environment("EMULSION_SPEEDS");
  if (file.empty()) return {};
  const auto text = text_of(file);
  if (!text) throw PlanError(str("EMULSION_SPEEDS: ", file, ": cannot be read"));
  return parse_speeds(*text, file);
}

}  // namespace

SpeedStore::SpeedStore(fs::path folder, Measure measure)
    : folder_(std::move(folder)), measure_(std::move(measure)) {}

DeviceSpeed SpeedStore::speed(const DeviceBudget& device, const Notice& notice) {
  const std::scoped_lock lock(mutex_);
  const fs::path file = folder_ / str("speeds-", hash_text(circumstances(device)), ".json");
  const auto known = known_.find(file);
  if (known != known_.end()) return known->second;
  if (const auto read = read_speed(file, device.name)) return known_[file] = *read;
  return known_[file] = measured(device, notice);
}

DeviceSpeed SpeedStore::measure_again(const DeviceBudget& device, const Notice& notice) {
  const std::scoped_lock lock(mutex_);
  const fs::path file = folder_ / str("speeds-", hash_text(circumstances(device)), ".json");
  return known_[file] = measured(device, notice);
}

DeviceSpeed SpeedStore::measured(const DeviceBudget& device, const Notice& notice) {
  const fs::path file = folder_ / str("speeds-", hash_text(circumstances(device)), ".json");
  std::error_code fault;
  if (!folder_.empty()) fs::create_directories(folder_, fault);
  const bool kept = !folder_.empty() && !fault;
  if (notice)
    notice(str("measuring the speed of ", device.name, " once, about 3 s; ",
               kept ? "kept in " + file.string() : "there is no folder to keep it in"));
  const DeviceSpeed speed = measure_(device.device, kept ? folder_ : fs::temp_directory_path());
  if (kept) write_speed(file, device.name, speed);
  return speed;
}

SpeedTable speeds_for(const std::vector<DeviceBudget>& devices, const Notice& notice) {
  SpeedTable table = given_table();
  const bool given = !table.empty();
  for (const DeviceBudget& device : devices) {
    if (device.simulated || given) continue;
    const DeviceBudget measured = measured_device(device);
    if (!table.contains(measured.name))
      table.emplace(measured.name, user_store().speed(measured, notice));
  }
  if (!table.contains("sim") && table.contains("cpu"))
    table.emplace("sim", simulated_beside(table.at("cpu")));
  return table;
}

SpeedTable measure_again(const std::vector<DeviceBudget>& devices, const Notice& notice) {
  SpeedTable table;
  for (const DeviceBudget& device : devices) {
    if (device.simulated) continue;
    const DeviceBudget measured = measured_device(device);
    if (!table.contains(measured.name))
      table.emplace(measured.name, user_store().measure_again(measured, notice));
  }
  return table;
}

}  // namespace emulsion
