#include <ATen/ops/empty.h>
#include <ATen/ops/isinf.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <set>
#include <system_error>

#include "emulsion/errors.h"
#include "emulsion/memory.h"
#include "emulsion/str.h"
#include "weights/conversion.h"
#include "weights/file_identity.h"
#include "weights/output_folder.h"
#include "weights/read_elements.h"

namespace emulsion {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kPieceElements = 1 << 20;  // at most 8 MiB at a time

class TensorsWriter {
 public:
  TensorsWriter(const Conversion& conversion, const ConversionHooks& hooks) : hooks_(hooks) {
    for (const ConvertedFile& file : conversion.weights)
      total_ += static_cast<std::int64_t>(file.tensors.size());
  }

  // `before_it_appears` is the last moment to refuse.
  void write(const ConvertedFile& file, const fs::path& path,
             const std::function<void()>& before_it_appears = {}) {
    std::vector<NamedSpec> specs;
    for (const ConvertedTensor& tensor : file.tensors) specs.push_back(tensor.target);
    SafetensorsWriter writer(path, specs, file.metadata);
    for (const ConvertedTensor& tensor : file.tensors) {
      for (const TensorPiece& piece : tensor.pieces) write(tensor, piece, writer);
      ++done_;
      if (hooks_.progress) hooks_.progress(done_, total_);
    }
    if (before_it_appears) before_it_appears();
    writer.commit();
  }

 private:
  void write(const ConvertedTensor& tensor, const TensorPiece& piece,
             SafetensorsWriter& writer) const {
    const c10::ScalarType dtype = tensor.target.spec.dtype;
    const std::int64_t count = piece.stored.spec.count();
    const at::Tensor buffer = at::empty({std::min(count, kPieceElements)}, at::dtype(dtype));
    for (std::int64_t start = 0; start < count; start += kPieceElements) {
      if (hooks_.cancelled != nullptr && *hooks_.cancelled) throw Cancelled("cancelled");
      const at::Tensor part = buffer.narrow(0, 0, std::min(kPieceElements, count - start));
      read_elements(*piece.file, piece.stored, start, part, nullptr);
      if (dtype == c10::ScalarType::Half && piece.stored.spec.dtype != dtype)
        expect_finite(tensor, part, piece);
      writer.write({static_cast<const std::byte*>(part.const_data_ptr()), part.nbytes()});
    }
    expect_unchanged(piece.file->path(), piece.file->identity());
  }

  static void expect_finite(const ConvertedTensor& tensor, const at::Tensor& part,
                            const TensorPiece& piece) {
    if (at::isinf(part).any().item<bool>())
      throw WeightError(str(piece.file->path().string(), ": tensor '", tensor.target.name,
                            "' has values beyond float16's 65504; convert to bf16 or f32"));
  }

  const ConversionHooks& hooks_;
  std::int64_t done_ = 0, total_ = 0;
};

Bytes bytes_of(const Conversion& conversion) {
  Bytes bytes = 0;
  for (const ConvertedFile& file : conversion.weights)
    for (const ConvertedTensor& tensor : file.tensors) bytes += tensor.target.spec.bytes();
  return bytes;
}

// Before gigabytes are written.
void expect_space(const Conversion& conversion) {
  const fs::path folder = fs::absolute(conversion.target).parent_path();
  std::error_code unknown;
  const fs::space_info space = fs::space(folder, unknown);
  const Bytes needed = bytes_of(conversion);
  if (unknown || static_cast<std::uintmax_t>(needed) <= space.available) return;
  throw RunError(str("'", conversion.target.string(), "': expected ", format_bytes(needed),
                     " free, got ", format_bytes(static_cast<Bytes>(space.available)),
                     "; free space, or give a place on another disk"));
}

void make_folder_of(const fs::path& file) {
  if (!file.has_parent_path()) return;
  std::error_code error;
  fs::create_directories(file.parent_path(), error);
  if (error)
    throw RunError(str("'", file.string(), "' cannot be written: ", error.message(),
                       "; free space, or give another place"));
}

void copy_text(const fs::path& from, const fs::path& to) {
  std::error_code error;
  make_folder_of(to);
  fs::copy_file(from, to, error);
  if (error)
    throw RunError(str("'", from.string(), "' cannot be copied to '", to.string(),
                       "': ", error.message(), "; free space, or give another place"));
}

void write_text(const std::string& text, const fs::path& to) {
  make_folder_of(to);
  OutputFile file(to);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

// What stands beside a single file: gone again unless the file is there at the end.
class Companions {
 public:
  explicit Companions(const Conversion& conversion) : conversion_(conversion) {}
  ~Companions() {
    std::error_code unreadable;
    if (fs::exists(conversion_.target, unreadable)) return;
    for (const fs::path& path : written_) fs::remove_all(path, unreadable);
  }
  Companions(const Companions&) = delete;
  Companions& operator=(const Companions&) = delete;

  void write() {
    for (const auto& [path, from] : conversion_.copies) copy_text(from, place_of(path));
    for (const auto& [path, text] : conversion_.texts) write_text(text, place_of(path));
  }

 private:
  fs::path place_of(const fs::path& path) {
    const fs::path folder = conversion_.target.parent_path();
    written_.insert(folder / *path.begin());
    return folder / path;
  }

  const Conversion& conversion_;
  std::set<fs::path> written_;
};

}  // namespace

void write_conversion(const Conversion& conversion, const ConversionHooks& hooks) {
  const c10::InferenceMode no_autograd;
  expect_space(conversion);
  TensorsWriter tensors(conversion, hooks);
  if (conversion.layout == ModelLayout::SingleFile) {
    Companions companions(conversion);
    for (const ConvertedFile& file : conversion.weights)
      tensors.write(file, conversion.target, [&] { companions.write(); });
    return;
  }
  OutputFolder folder(conversion.target);
  for (const auto& [path, from] : conversion.copies) copy_text(from, folder.partial() / path);
  for (const auto& [path, text] : conversion.texts) write_text(text, folder.partial() / path);
  for (const ConvertedFile& file : conversion.weights) {
    make_folder_of(folder.partial() / file.path);
    tensors.write(file, folder.partial() / file.path);
  }
  folder.commit();
}

}  // namespace emulsion
