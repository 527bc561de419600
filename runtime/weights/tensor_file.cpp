#include "weights/tensor_file.h"

#include "weights/gguf.h"
#include "weights/safetensors.h"

namespace emulsion {

std::shared_ptr<const TensorFile> open_tensor_file(const std::filesystem::path& path) {
  if (path.extension() == ".gguf") return std::make_shared<const GgufFile>(path);
  return std::make_shared<const SafetensorsFile>(path);
}

}  // namespace emulsion
