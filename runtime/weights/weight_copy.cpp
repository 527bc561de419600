#include "weights/weight_copy.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>

#include "weights/device_queue.h"

namespace emulsion {
namespace {

constexpr std::int64_t kLeastShare = 1 << 17;  // elements that are worth a thread

void fill_host(const at::Tensor& into, std::int64_t start, Pace pace, const FillElements& fill) {
  if (pace == Pace::OneThread || into.numel() <= kLeastShare) {
    fill(start, into);
    return;
  }
  at::parallel_for(0, into.numel(), kLeastShare, [&](std::int64_t begin, std::int64_t end) {
    const c10::InferenceMode no_autograd;
    fill(start + begin, into.narrow(0, begin, end - begin));
  });
}

// While one half of the pinned memory is copied to the device, the other one is filled.
void fill_device(const at::Tensor& flat, Pace pace, const FillElements& fill) {
  const std::int64_t half =
      std::min(flat.numel(), kStagingBytes / 2 / static_cast<Bytes>(flat.element_size()));
  std::array<at::Tensor, 2> staging;
  std::array<WorkMark, 2> copied;
  for (at::Tensor& tensor : staging)
    tensor = at::empty({half}, at::TensorOptions().dtype(flat.scalar_type()).pinned_memory(true));
  for (std::int64_t start = 0, i = 0; start < flat.numel(); start += half, i ^= 1) {
    const auto turn = static_cast<std::size_t>(i);
    copied[turn].wait();
    const at::Tensor part = staging[turn].narrow(0, 0, std::min(half, flat.numel() - start));
    fill_host(part, start, pace, fill);
    flat.narrow(0, start, part.numel()).copy_(part, /*non_blocking=*/true);
    copied[turn] = WorkMark(flat.device());
  }
  for (const WorkMark& mark : copied) mark.wait();  // before the pinned memory goes
}

}  // namespace

at::Tensor filled_tensor(const TensorSpec& spec, c10::Device device, Pace pace,
                         const FillElements& fill) {
  const at::Tensor result =
      at::empty(spec.shape, at::TensorOptions().dtype(spec.dtype).device(device));
  const at::Tensor flat = result.view(-1);
  if (flat.numel() == 0) return result;
  if (device.is_cpu())
    fill_host(flat, 0, pace, fill);
  else
    fill_device(flat, pace, fill);
  return result;
}

}  // namespace emulsion
