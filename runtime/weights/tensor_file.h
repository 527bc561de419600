#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "emulsion/packing.h"
#include "emulsion/value.h"
#include "weights/file_identity.h"

namespace emulsion {

struct StoredTensor {
  TensorSpec spec;
  std::uint64_t begin = 0;  // bytes from the start of the file
  bool transposed =
      false;  // the file has the elements in the order of the axes the other way round
  Packing packing = Packing::None;  // else blocks follow one another, whatever the shape

  Bytes bytes() const {  // in the file
    return packing == Packing::None ? spec.bytes()
                                    : spec.count() / kPackedBlock * block_bytes(packing);
  }
};

using StoredTensors = std::map<std::string, StoredTensor, std::less<>>;

// A file of tensors, whatever its format, whose header has been read and checked, so that every
// tensor lies in the file.  Holds no file open.  Immutable.  [any thread]
class TensorFile {
 public:
  // The same file, of which these tensors, or parts of tensors, are wanted under these names.
  TensorFile(const TensorFile& whole, StoredTensors tensors)
      : path_(whole.path_),
        identity_(whole.identity_),
        tensors_(std::move(tensors)),
        metadata_(whole.metadata_) {}

  const std::filesystem::path& path() const { return path_; }
  const FileIdentity& identity() const { return identity_; }  // when it was opened
  const StoredTensors& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 protected:
  explicit TensorFile(std::filesystem::path path)
      : path_(std::move(path)), identity_(identity_of(path_)) {}

  std::filesystem::path path_;
  FileIdentity identity_;
  StoredTensors tensors_;
  std::map<std::string, std::string> metadata_;
};

// Reads the header of a GGUF file where the name ends with .gguf, else of a safetensors file.
// Throws WeightError.  [any thread]
std::shared_ptr<const TensorFile> open_tensor_file(const std::filesystem::path& path);

}  // namespace emulsion
