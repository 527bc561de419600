#include "exec/speed_transfers.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <limits>
#include <optional>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/mapped_file.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kMostRuns = 4, kFewestRuns = 2;
constexpr double kEnoughSeconds = 0.1;  // for one sample
constexpr std::size_t kPageBytes = 4096;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// A file of ones that is gone with the object, or not there at all.
class ScratchFile {
 public:
  ScratchFile(const fs::path& folder, Bytes bytes)
      : path_(folder / str("speed-", Clock::now().time_since_epoch().count(), ".partial")) {
    const std::vector<char> chunk(static_cast<std::size_t>(std::min(bytes, 8 * kMiB)), 1);
    std::ofstream stream(path_, std::ios::binary);
    for (Bytes written = 0; stream && written < bytes; written += std::ssize(chunk))
      stream.write(chunk.data(), std::ssize(chunk));
    exists_ = static_cast<bool>(stream.flush());
  }
  ~ScratchFile() {
    std::error_code none;
    fs::remove(path_, none);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  bool exists() const { return exists_; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  bool exists_ = false;
};

at::Tensor tensor_of(const MappedFile& file, c10::ScalarType dtype) {
  auto* data = const_cast<std::byte*>(file.bytes().data());  // mapped, and only read
  const auto elements = static_cast<std::int64_t>(file.bytes().size() / c10::elementSize(dtype));
  return at::from_blob(data, {elements}, at::dtype(dtype));
}

// Reads a byte of each page, as the first use of mapped weights does.
void touch_pages(const MappedFile& file) {
  volatile unsigned sum = 0;
  for (std::size_t at = 0; at < file.bytes().size(); at += kPageBytes)
    sum = sum + std::to_integer<unsigned>(file.bytes()[at]);
}

struct FileSeconds {
  double map = 0, read = 0, convert = 0;
};

FileSeconds file_seconds(c10::Device device, const fs::path& path) {
  const at::TensorOptions half = at::TensorOptions(device).dtype(at::kBFloat16);
  const auto load = [&](c10::ScalarType stored) {
    return fastest_seconds(device, [&] {
      const MappedFile file(path);
      const at::Tensor tensor = tensor_of(file, stored);
      at::empty(tensor.sizes(), half).copy_(tensor);
    });
  };
  return {.map = fastest_seconds(device, [&] { touch_pages(MappedFile(path)); }),
          .read = load(at::kBFloat16),
          .convert = load(at::kFloat)};
}

void measure_files(DeviceSpeed& speed, c10::Device device, const fs::path& folder, Bytes bytes) {
  const ScratchFile file(folder, bytes);
  std::optional<FileSeconds> seconds;
  try {
    if (file.exists()) seconds = file_seconds(device, file.path());
  } catch (const WeightError&) {  // such as a cache folder on a system that cannot map
  }
  const auto count = static_cast<double>(bytes);
  speed.map = seconds ? count / seconds->map : speed.from_host / 2;
  speed.read = seconds ? count / seconds->read : speed.from_host / 2;
  speed.convert = seconds ? count / 2 / seconds->convert : speed.from_host / 4;
}

}  // namespace

double seconds_of(c10::Device device, const std::function<void()>& work) {
  const Clock::time_point start = Clock::now();
  work();
  if (!device.is_cpu())
    c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
  return seconds_since(start);
}

double fastest_seconds(c10::Device device, const std::function<void()>& work) {
  double fastest = std::numeric_limits<double>::max(), sum = 0;
  for (int run = 0; run < kMostRuns && (run < kFewestRuns || sum < kEnoughSeconds); ++run) {
    const double seconds = seconds_of(device, work);
    fastest = std::min(fastest, seconds);
    sum += seconds;
  }
  return fastest;
}

void measure_transfers(DeviceSpeed& speed, c10::Device device, const fs::path& folder,
                       Bytes bytes) {
  const at::TensorOptions bytes_on_host = at::TensorOptions(at::kCPU).dtype(at::kByte);
  const at::Tensor host = at::ones({bytes}, bytes_on_host);  // as weights lie there: not pinned
  const at::Tensor there = at::ones({bytes}, bytes_on_host.device(device));
  const auto copy = [&](const at::Tensor& to, const at::Tensor& from) {
    return fastest_seconds(device, [&] { to.copy_(from); });
  };
  speed.from_host = static_cast<double>(bytes) / copy(there, host);
  speed.to_host = static_cast<double>(bytes) / copy(host, there);
  speed.latency = copy(there.narrow(0, 0, 1), host.narrow(0, 0, 1));
  speed.copies_beside = !device.is_cpu();
  measure_files(speed, device, folder, bytes);
}

}  // namespace emulsion
