#include "weights/weight_copy.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <c10/core/InferenceMode.h>
#include "check.h"

#include <set>
#include <thread>

#include "emulsion/errors.h"

using namespace emulsion;

namespace {

constexpr std::int64_t kCount = 1'300'001;  // a few pieces, the last one small

WeightCopy counting_copy(std::int64_t first) {
  return {new_tensor({{kCount}, at::kInt}, c10::kCPU),
          [first](std::int64_t start, const at::Tensor& into) {
            auto* const data = into.mutable_data_ptr<int>();
            for (std::int64_t i = 0; i < into.numel(); ++i)
              data[i] = static_cast<int>(first + start + i);
          }};
}

}  // namespace

TEST_CASE("every element of every copy is filled, on one thread and on all") {
  const c10::InferenceMode no_autograd;
  for (const Pace pace : {Pace::OneThread, Pace::AllThreads}) {
    const std::vector<WeightCopy> copies{counting_copy(0), counting_copy(kCount)};
    fill_all(copies, pace);
    CHECK(at::equal(copies[0].result, at::arange(kCount, at::kInt)));
    CHECK(at::equal(copies[1].result, at::arange(kCount, 2 * kCount, at::kInt)));
  }
}

TEST_CASE("what is read beside a run stays on its thread") {
  const c10::InferenceMode no_autograd;
  std::set<std::thread::id> threads;
  const WeightCopy copy{
      new_tensor({{kCount}, at::kInt}, c10::kCPU),
      [&](std::int64_t, const at::Tensor&) { threads.insert(std::this_thread::get_id()); }};
  fill_all({copy}, Pace::OneThread);
  CHECK(threads == std::set<std::thread::id>{std::this_thread::get_id()});
}

TEST_CASE("a fault of any piece comes out, whichever thread has it") {
  const c10::InferenceMode no_autograd;
  for (const std::int64_t bad : {std::int64_t{0}, kCount - 1}) {
    const WeightCopy copy{new_tensor({{kCount}, at::kInt}, c10::kCPU),
                          [bad](std::int64_t start, const at::Tensor& into) {
                            if (bad >= start && bad < start + into.numel())
                              throw WeightError("cannot be read");
                          }};
    for (const Pace pace : {Pace::OneThread, Pace::AllThreads})
      CHECK_THROWS_WITH_AS(fill_all({copy}, pace), "cannot be read", WeightError);
  }
}
