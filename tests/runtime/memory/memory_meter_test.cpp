#include "memory/memory_meter.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include "check.h"

#include <latch>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "emulsion/errors.h"

using namespace emulsion;

namespace {

const c10::Device kCpu(c10::kCPU);

at::Tensor block(Bytes bytes) {
  install_memory_meter();
  return at::empty({bytes}, at::kByte);
}

}  // namespace

TEST_CASE("a meter counts exactly what was asked for while it was in charge") {
  MemoryMeter meter(kCpu);
  const at::Tensor before = block(1000);
  std::optional<MeterScope> scope(meter);
  at::Tensor a = block(1000), b = block(3);
  CHECK(meter.used() == 1003);
  CHECK(block(0).numel() == 0);
  b = at::Tensor();
  CHECK(meter.used() == 1000);
  scope.reset();
  const at::Tensor after = block(1000);
  CHECK(meter.used() == 1000);
  CHECK(meter.peak() == 1003);
}

TEST_CASE("a large block counts by what was asked for, too") {
  MemoryMeter meter(kCpu);
  const MeterScope scope(meter);
  const at::Tensor large = block(9 * kMiB + 5);  // from 4 MiB on, blocks lie in huge pages
  CHECK(meter.used() == 9 * kMiB + 5);
}

#if defined(__linux__)
TEST_CASE("pages that are freed below a planned peak are there for later blocks of other sizes") {
  trim_memory(kCpu);
  MemoryMeter meter(kCpu);
  const MeterScope scope(meter);
  meter.expect(64 * kMiB);
  block(16 * kMiB - 4096).fill_(42);
  const at::Tensor larger = block(40 * kMiB);
  const at::Tensor smaller = block(6 * kMiB);  // new pages would be zeros
  CHECK(meter.peak() == 46 * kMiB);
  CHECK(smaller.sub(42).count_nonzero().item<std::int64_t>() == 0);
}
#endif

TEST_CASE("the inner of two scopes is in charge, and the outer one again after it") {
  MemoryMeter outer(kCpu), inner(kCpu);
  const MeterScope outer_scope(outer);
  const at::Tensor a = block(10);
  at::Tensor b;
  {
    const MeterScope inner_scope(inner);
    b = block(200);
  }
  const at::Tensor c = block(3000);
  CHECK(outer.used() == 3010);
  CHECK(inner.used() == 200);
}

TEST_CASE("a scope of no meter leaves the outer meter alone") {
  MemoryMeter outer(kCpu);
  const MeterScope outer_scope(outer);
  const MeterScope none(nullptr);
  const Bytes before = unmetered_bytes();
  const at::Tensor a = block(100);
  CHECK(outer.used() == 0);
  CHECK(unmetered_bytes() == before + 100);
}

TEST_CASE("a block goes back to the meter that it came from, wherever it is freed") {
  MemoryMeter meter(kCpu), other(kCpu);
  at::Tensor a, b;
  {
    const MeterScope scope(meter);
    a = block(100);
    b = block(20);
  }
  const MeterScope scope(other);
  a = at::Tensor();
  CHECK(meter.used() == 20);
  std::thread([&] { b = at::Tensor(); }).join();
  CHECK(meter.used() == 0);
  CHECK(other.used() == 0);
}

TEST_CASE("a block may outlive its meter, and a later meter starts at zero") {
  auto meter = std::make_unique<MemoryMeter>(kCpu);
  at::Tensor kept;
  {
    const MeterScope scope(*meter);
    kept = block(64);
  }
  meter = nullptr;
  std::vector<std::unique_ptr<MemoryMeter>> later;
  for (int i = 0; i < 8; ++i) later.push_back(std::make_unique<MemoryMeter>(kCpu));
  for (const auto& each : later) {
    CHECK(each->used() == 0);
    CHECK(each->peak() == 0);
  }
  kept = at::Tensor();
  for (const auto& each : later) CHECK(each->used() == 0);
}

TEST_CASE("a meter that takes over a dead one's account has no limit") {
  std::make_unique<MemoryMeter>(kCpu)->set_limit(10);
  MemoryMeter meter(kCpu);
  const MeterScope scope(meter);
  CHECK_NOTHROW(block(100));
}

TEST_CASE("an allocation above the limit throws and counts nothing") {
  MemoryMeter meter(kCpu);
  const MeterScope scope(meter);
  meter.set_limit(1000);
  const at::Tensor most = block(900);
  CHECK_THROWS_WITH_AS(block(101),
                       doctest::Contains("asked for 101 B, which passes the limit: 900 B "
                                         "of 1000 B are in use"),
                       c10::OutOfMemoryError);
  CHECK(meter.used() == 900);
  CHECK(meter.peak() == 900);
  const at::Tensor rest = block(100);  // up to the limit is within it
  CHECK(meter.used() == 1000);
  meter.set_limit(2000);
  CHECK_NOTHROW(block(1000));
}

TEST_CASE("what the system does not have is out of memory as well") {
  MemoryMeter meter(kCpu);
  const MeterScope scope(meter);
  CHECK_THROWS_AS(block(Bytes{1} << 60), c10::OutOfMemoryError);
  CHECK(meter.used() == 0);
}

TEST_CASE("the peak starts again at what is in use") {
  MemoryMeter meter(kCpu);
  const MeterScope scope(meter);
  const at::Tensor a = block(100);
  block(500);
  CHECK(meter.peak() == 600);
  meter.reset_peak();
  CHECK(meter.peak() == 100);
  block(50);
  CHECK(meter.peak() == 150);
}

TEST_CASE("mapped bytes count beside allocated ones, up to the limit") {
  MemoryMeter meter(kCpu);
  const MeterScope scope(meter);
  meter.set_limit(1000);
  const at::Tensor a = block(300);
  meter.add_mapped(700);
  CHECK(meter.used() == 1000);
  CHECK(meter.peak() == 1000);
  CHECK_THROWS_WITH_AS(meter.add_mapped(1),
                       "mapping 1 B passes the limit: 1000 B of 1000 B are in use", OutOfMemory);
  CHECK_THROWS_AS(block(1), c10::OutOfMemoryError);
  meter.add_mapped(-700);
  CHECK(meter.used() == 300);
  CHECK(meter.peak() == 1000);
}

TEST_CASE("a mapped share lasts as long as its holder, also without the meter") {
  auto meter = std::make_unique<MemoryMeter>(kCpu);
  std::optional<MappedShare> share(std::in_place, meter.get(), 40);
  CHECK(meter->used() == 40);
  meter = nullptr;
  CHECK_NOTHROW(share.reset());
  const Bytes before = unmetered_bytes();
  share.emplace(nullptr, 7);
  CHECK(unmetered_bytes() == before + 7);
}

TEST_CASE("a thread without a scope counts for the scope that was opened last") {
  MemoryMeter outer(kCpu), inner(kCpu), background(kCpu);
  const auto allocated_by_worker = [](Bytes bytes) {
    at::Tensor result;
    std::thread([&] { result = block(bytes); }).join();
    return result;
  };
  std::optional<MeterScope> outer_scope(outer), inner_scope(inner);
  const at::Tensor a = allocated_by_worker(10);
  CHECK(inner.used() == 10);
  inner_scope.reset();
  const at::Tensor b = allocated_by_worker(200);
  CHECK(outer.used() == 200);
  const MeterScope beside(background, MeterScope::Reach::ThisThread);
  const at::Tensor c = allocated_by_worker(3000);
  CHECK(background.used() == 0);
  CHECK(outer.used() == 3200);
  const at::Tensor d = block(5);
  CHECK(background.used() == 5);
}

TEST_CASE("of scopes in two threads the open one reaches worker threads, whichever ends first") {
  MemoryMeter mine(kCpu), theirs(kCpu);
  std::optional<MeterScope> scope(mine);
  std::latch opened(1), ended(1);
  std::thread other([&] {
    const MeterScope later(theirs);
    opened.count_down();
    ended.wait();
  });
  opened.wait();
  scope.reset();
  at::Tensor a;
  std::thread([&] { a = block(10); }).join();
  CHECK(theirs.used() == 10);
  ended.count_down();
  other.join();
  const Bytes before = unmetered_bytes();
  std::thread([&] { a = block(30); }).join();
  CHECK(unmetered_bytes() == before + 30);
}

TEST_CASE("many threads add up to zero and never pass the limit") {
  MemoryMeter meter(kCpu);
  meter.set_limit(250);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      const MeterScope scope(meter, MeterScope::Reach::ThisThread);
      for (int i = 0; i < 2000; ++i) try {
          block(100);
        } catch (const c10::OutOfMemoryError&) {
          continue;
        }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(meter.used() == 0);
  CHECK(meter.peak() <= 200);
  CHECK(meter.peak() >= 100);
}
