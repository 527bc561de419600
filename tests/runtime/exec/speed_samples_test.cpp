#include "exec/speed_samples.h"

#include "check.h"

#include "exec/speed_transfers.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

const c10::Device kCpu(c10::DeviceType::CPU);

}  // namespace

TEST_CASE("a rate is the mix's work over its time, by shares") {
  const std::vector<SpeedSample> samples{{100, 0.5, {}}, {1000, 0.5, {}}};
  // 0.5 at 100 a second and 0.5 at 500 a second
  const auto seconds = [](const SpeedSample& sample) { return sample.work == 100 ? 1.0 : 2.0; };
  CHECK(rate_of(samples, seconds) == doctest::Approx(1 / (0.5 / 100 + 0.5 / 500)));
}

TEST_CASE("the samples of each kind make up one whole, run, and shrink") {
  for (const auto dtype : {c10::ScalarType::Float, c10::ScalarType::BFloat16}) {
    const SpeedSamples samples = speed_samples(kCpu, dtype, 16);
    for (const auto* kind :
         {&samples.convolution, &samples.product, &samples.attention, &samples.traffic}) {
      double whole = 0;
      for (const SpeedSample& sample : *kind) {
        CHECK(sample.work > 0);
        sample.prepare()();
        whole += sample.share;
      }
      CHECK(whole == doctest::Approx(1));
    }
  }
  const auto work = [](std::int64_t shrink) {
    return speed_samples(kCpu, c10::ScalarType::Float, shrink).convolution.front().work;
  };
  CHECK(work(2) == doctest::Approx(work(4) * 4));
}

TEST_CASE("the work of a convolution is two operations for each product and sum") {
  const SpeedSamples samples = speed_samples(kCpu, c10::ScalarType::Float, 8);
  CHECK(samples.convolution.front().work == 2.0 * 320 * 320 * 9 * 8 * 8);
}

TEST_CASE("transfers are measured, and the file that they need is gone afterwards") {
  const fs::path folder = fs::temp_directory_path() / "emulsion_speed_transfers";
  fs::create_directories(folder);
  DeviceSpeed speed;
  measure_transfers(speed, kCpu, folder, kMiB);
  CHECK(fs::is_empty(folder));
  fs::remove_all(folder);
  for (const double rate :
       {speed.map, speed.read, speed.convert, speed.from_host, speed.to_host, speed.latency})
    CHECK(rate > 0);
  CHECK_FALSE(speed.copies_beside);
}

TEST_CASE("without a folder for the file, speeds of files follow from those of memory") {
  DeviceSpeed speed;
  measure_transfers(speed, kCpu, "/no/such/folder", kMiB);
  CHECK(speed.read == speed.from_host / 2);
  CHECK(speed.convert == speed.from_host / 4);
}
