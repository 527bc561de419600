#include "weights/read_elements.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "memory/memory_meter.h"
#include "weights/mapped_file.h"

namespace emulsion {
namespace {

// Elements that are converted at a time: the bytes stay in a core's cache, and LibTorch converts
// fewer than 32768 elements on the thread that asks for it.
constexpr std::int64_t kConverted = 32704;
constexpr std::int64_t kUnpacked = 8192;  // the same of packed ones, which take more on the way

// Blocks that hold the elements are read and unpacked, a few at a time.
void read_packed(FileReader& reader, const StoredTensor& stored, std::int64_t start,
                 const at::Tensor& into) {
  const std::int64_t block = block_bytes(stored.packing);
  for (std::int64_t done = 0; done < into.numel();) {
    const std::int64_t first = (start + done) / kPackedBlock,
                       skipped = (start + done) % kPackedBlock;
    const std::int64_t count = std::min(kUnpacked - skipped, into.numel() - done);
    const std::int64_t blocks = (skipped + count + kPackedBlock - 1) / kPackedBlock;
    const at::Tensor bytes = at::empty({1, blocks * block}, at::dtype(at::kByte));
    reader.read(stored.begin + static_cast<std::uint64_t>(first * block), bytes.mutable_data_ptr(),
                bytes.nbytes());
    const at::Tensor numbers = unpacked(bytes, stored.packing).view(-1);
    into.narrow(0, done, count).copy_(numbers.narrow(0, skipped, count));
    done += count;
  }
}

// A whole tensor that is mapped, with the shape that it has in the file.
at::Tensor in_file_order(std::byte* data, const TensorSpec& spec, Packing packing) {
  if (packing == Packing::None) return at::from_blob(data, spec.shape, at::dtype(spec.dtype));
  const TensorSpec bytes = packed_spec(packing, spec);
  return unpacked(at::from_blob(data, bytes.shape, at::dtype(bytes.dtype)), packing);
}

// By way of a mapping: a row of the result is a column of the file, all over its bytes.
void read_transposed(const TensorFile& file, const StoredTensor& stored, std::int64_t start,
                     const at::Tensor& into) {
  const std::int64_t rows = stored.spec.shape[0], width = stored.spec.shape[1];
  const MappedFile mapping(file.path(), stored.begin, static_cast<std::uint64_t>(stored.bytes()));
  auto* const data = const_cast<std::byte*>(mapping.bytes().data());  // only read
  const at::Tensor table = in_file_order(data, {{width, rows}, stored.spec.dtype}, stored.packing);
  for (std::int64_t done = 0; done < into.numel();) {
    const std::int64_t row = (start + done) / width, first = (start + done) % width;
    const std::int64_t count = std::min(width - first, into.numel() - done);
    into.narrow(0, done, count).copy_(table.select(1, row).narrow(0, first, count));
    done += count;
  }
}

}  // namespace

void read_elements(const TensorFile& file, const StoredTensor& stored, std::int64_t start,
                   const at::Tensor& into, MemoryMeter* meter) {
  if (stored.transposed) {
    read_transposed(file, stored, start, into);
    return;
  }
  const std::size_t element = c10::elementSize(stored.spec.dtype);
  FileReader reader(file.path());
  if (stored.packing != Packing::None) {
    const MeterScope scope(meter, MeterScope::Reach::ThisThread);
    read_packed(reader, stored, start, into);
    return;
  }
  const auto read = [&](std::int64_t first, const at::Tensor& tensor) {
    reader.read(stored.begin + static_cast<std::uint64_t>(first) * element,
                tensor.mutable_data_ptr(), tensor.nbytes());
  };
  if (into.scalar_type() == stored.spec.dtype) {
    read(start, into);
    return;
  }
  const MeterScope scope(meter, MeterScope::Reach::ThisThread);
  const std::int64_t step = std::min(into.numel(), kConverted);
  const at::Tensor staging = at::empty({step}, at::dtype(stored.spec.dtype));
  for (std::int64_t done = 0; done < into.numel(); done += step) {
    const at::Tensor part = staging.narrow(0, 0, std::min(step, into.numel() - done));
    read(start + done, part);
    into.narrow(0, done, part.numel()).copy_(part);
  }
}

}  // namespace emulsion
