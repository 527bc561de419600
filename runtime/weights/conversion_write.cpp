#include <ATen/ops/empty.h>
#include <ATen/ops/isinf.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <system_error>

#include "emulsion/errors.h"
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

  void write(const ConvertedFile& file, const fs::path& path) {
    std::vector<NamedSpec> specs;
    for (const ConvertedTensor& tensor : file.tensors) specs.push_back(tensor.target);
    SafetensorsWriter writer(path, specs, file.metadata);
    for (const ConvertedTensor& tensor : file.tensors) {
      for (const TensorPiece& piece : tensor.pieces) write(tensor, piece, writer);
      ++done_;
      if (hooks_.progress) hooks_.progress(done_, total_);
    }
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

void make_folder_of(const fs::path& file) {
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

}  // namespace

void write_conversion(const Conversion& conversion, const ConversionHooks& hooks) {
  const c10::InferenceMode no_autograd;
  TensorsWriter tensors(conversion, hooks);
  if (conversion.layout == ModelLayout::SingleFile) {
    for (const ConvertedFile& file : conversion.weights) tensors.write(file, conversion.target);
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
