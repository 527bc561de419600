#include "weights/weight_copy.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <future>

#include "weights/device_queue.h"

namespace emulsion {
namespace {

constexpr std::int64_t kPieceElements = 1 << 19;  // some hundred microseconds of work for a thread
// More would wait for the memory, and take more staging than kStagingBytes together.
constexpr int kMostThreads = 16;

// Elements of a copy that go into `into`.
struct Piece {
  const WeightCopy* copy;
  std::int64_t start;
  at::Tensor into;
};

void cut(const WeightCopy& copy, std::int64_t start, const at::Tensor& into,
         std::vector<Piece>& pieces) {
  for (std::int64_t done = 0; done < into.numel(); done += kPieceElements) {
    const std::int64_t count = std::min(kPieceElements, into.numel() - done);
    pieces.push_back({&copy, start + done, into.narrow(0, done, count)});
  }
}

void fill_pieces(const std::vector<Piece>& pieces, Pace pace) {
  for_each_part(static_cast<std::int64_t>(pieces.size()), pace, [&](std::int64_t i) {
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    piece.copy->fill(piece.start, piece.into);
  });
}

// While one half of the pinned memory is copied to the device, the other one is filled.
void fill_device(const WeightCopy& copy, Pace pace) {
  const at::Tensor flat = copy.result.view(-1);
  const std::int64_t half =
      std::min(flat.numel(), kStagingBytes / 2 / static_cast<Bytes>(flat.element_size()));
  std::array<at::Tensor, 2> staging;
  std::array<WorkMark, 2> copied;
  for (at::Tensor& tensor : staging)
    tensor = at::empty({half}, at::TensorOptions().dtype(flat.scalar_type()).pinned_memory(true));
  std::size_t turn = 0;
  for (std::int64_t start = 0; start < flat.numel(); start += half, turn = 1 - turn) {
    copied[turn].wait();
    const at::Tensor part = staging[turn].narrow(0, 0, std::min(half, flat.numel() - start));
    std::vector<Piece> pieces;
    cut(copy, start, part, pieces);
    fill_pieces(pieces, pace);
    flat.narrow(0, start, part.numel()).copy_(part, /*non_blocking=*/true);
    copied[turn] = WorkMark(flat.device());
  }
  for (const WorkMark& mark : copied) mark.wait();  // before the pinned memory goes
}

}  // namespace

// Not LibTorch's loops: threads that wait for a disk are to keep none of its own waiting.
void for_each_part(std::int64_t count, Pace pace,
                   const std::function<void(std::int64_t part)>& work) {
  std::atomic<std::int64_t> next{0};
  const auto work_on = [&] {
    const c10::InferenceMode no_autograd;
    for (std::int64_t i = next++; i < count; i = next++) work(i);
  };
  const int threads = pace == Pace::OneThread ? 1 : std::min(at::get_num_threads(), kMostThreads);
  std::vector<std::future<void>> others;
  for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, count); ++i)
    others.push_back(std::async(std::launch::async, work_on));
  work_on();
  for (std::future<void>& other : others) other.get();
}

at::Tensor new_tensor(const TensorSpec& spec, c10::Device device) {
  return at::empty(spec.shape, at::TensorOptions().dtype(spec.dtype).device(device));
}

void fill_all(const std::vector<WeightCopy>& copies, Pace pace) {
  std::vector<Piece> pieces;
  for (const WeightCopy& copy : copies)
    if (copy.result.device().is_cpu())
      cut(copy, 0, copy.result.view(-1), pieces);
    else
      fill_device(copy, pace);
  fill_pieces(pieces, pace);
}

}  // namespace emulsion
