#include "plan/device.h"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <algorithm>
#include <fstream>
#include <optional>

#if defined(_WIN32)
#include <windows.h>
#else
#include <unistd.h>
#endif

#include "emulsion/errors.h"
#include "emulsion/processor.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

constexpr std::string_view kForms =
    "expected cpu, cuda, cuda:N, sim:NAME=BYTES or logical:NAME=BYTES, each with =BYTES for a "
    "budget, such as cuda:0=8GiB";

// What Linux counts as free and reclaimable; 0 elsewhere.
Bytes linux_available() {
  std::ifstream meminfo("/proc/meminfo");
  std::string key, unit;
  for (Bytes kib = 0; meminfo >> key >> kib; std::getline(meminfo, unit))
    if (key == "MemAvailable:") return kib * kKiB;
  return 0;
}

Bytes physical_memory() {
#if defined(_WIN32)
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof(status);
  GlobalMemoryStatusEx(&status);
  return static_cast<Bytes>(status.ullAvailPhys);
#else
  return static_cast<Bytes>(sysconf(_SC_PHYS_PAGES)) * static_cast<Bytes>(sysconf(_SC_PAGESIZE));
#endif
}

bool has_device(c10::Device device) {
  if (!c10::impl::hasDeviceGuardImpl(device.type())) return false;
  return device.index() < c10::impl::getDeviceGuardImpl(device.type())->deviceCount();
}

c10::Device accelerator(std::string_view name) {
  const std::string full(name);
  c10::Device device(c10::DeviceType::CUDA, 0);
  try {
    device = c10::Device(full);
  } catch (const c10::Error&) {
    throw GraphError(str("--device ", name, ": no such device; ", kForms));
  }
  if (device.type() != c10::DeviceType::CUDA)
    throw GraphError(str("--device ", name, ": not supported; ", kForms));
  if (device.index() < 0) device.set_index(0);
  if (!has_device(device))
    throw GraphError(str("--device ", name,
                         ": this LibTorch finds no such device; take --device cpu, or plan with "
                         "--device sim:NAME=BYTES"));
  return device;
}

// What a run may use if nobody says what: all accelerators, and the cpu.
std::vector<std::string> found_devices() {
  std::vector<std::string> names;
  c10::Device device(c10::DeviceType::CUDA, 0);
  for (; has_device(device); device.set_index(static_cast<c10::DeviceIndex>(device.index() + 1)))
    names.push_back(device.str());
  names.emplace_back("cpu");
  return names;
}

bool starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

Bytes parse_capacity(std::string_view device, std::string_view size) {
  try {
    return parse_bytes(size);
  } catch (const GraphError&) {
    throw GraphError(str("--device ", device, ": expected a size such as 900MiB or 4GiB"));
  }
}

}  // namespace

Bytes free_host_memory() {
  const Bytes available = linux_available();
  return available > 0 ? available : physical_memory();
}

DeviceBudget parse_device(std::string_view text) {
  const std::size_t equals = text.find('=');
  DeviceBudget budget{.name = std::string(text.substr(0, equals))};
  const bool named = starts_with(budget.name, "sim:") || starts_with(budget.name, "logical:");
  if (named && (equals == std::string_view::npos || budget.name.back() == ':'))
    throw GraphError(str("--device ", text, ": needs a name and a size; ", kForms));
  budget.simulated = starts_with(budget.name, "sim:");
  if (!named && budget.name != "cpu") {
    budget.device = accelerator(budget.name);
    budget.name = budget.device.str();
  }
  if (equals != std::string_view::npos)
    budget.capacity = parse_capacity(text, text.substr(equals + 1));
  else if (budget.device.is_cpu())
    budget.capacity = free_host_memory();
  else
    budget.capacity = static_cast<Bytes>(
        at::getDeviceAllocator(budget.device.type())->getMemoryInfo(budget.device.index()).first);
  return budget;
}

std::vector<DeviceBudget> parse_devices(const std::vector<std::string>& texts) {
  if (texts.empty()) return parse_devices(found_devices());
  std::vector<DeviceBudget> devices;
  std::optional<DeviceBudget> host;
  for (const std::string& text : texts) {
    DeviceBudget device = parse_device(text);
    const bool again =
        device.name == "cpu"
            ? host.has_value()
            : std::ranges::find(devices, device.name, &DeviceBudget::name) != devices.end();
    if (again) throw GraphError(str("--device ", device.name, ": given twice"));
    if (device.name == "cpu")
      host = std::move(device);
    else
      devices.push_back(std::move(device));
  }
  devices.push_back(host ? *std::move(host) : parse_device("cpu"));
  return devices;
}

c10::ScalarType parse_dtype(std::string_view text, const DeviceBudget& device) {
  if (text == "f32") return c10::ScalarType::Float;
  if (text == "f16") return c10::ScalarType::Half;
  if (text == "bf16") return c10::ScalarType::BFloat16;
  if (text != "auto") throw GraphError(str("--dtype ", text, ": expected auto, f32, f16 or bf16"));
  if (!device.computes_on_cpu()) return c10::ScalarType::Half;
  const bool is_fast = bfloat16_products() == Bfloat16::Supported;
  return is_fast ? c10::ScalarType::BFloat16 : c10::ScalarType::Float;
}

}  // namespace emulsion
