#include "weights/mapped_file.h"

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <system_error>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {

MappedFile::MappedFile(const std::filesystem::path& path) {
  namespace ipc = boost::interprocess;
  std::error_code unreadable;
  const bool is_file = std::filesystem::is_regular_file(path, unreadable);
  const std::uintmax_t bytes = is_file ? std::filesystem::file_size(path, unreadable) : 0;
  if (unreadable) throw WeightError(str(path.string(), ": ", unreadable.message()));
  if (!is_file) throw WeightError(str(path.string(), ": expected a file"));
  if (bytes == 0) return;
  try {
    const ipc::file_mapping file(path.c_str(), ipc::read_only);
    region_ = std::make_unique<const ipc::mapped_region>(file, ipc::read_only);
  } catch (const ipc::interprocess_exception& fault) {
    throw WeightError(str(path.string(), ": cannot be mapped: ", fault.what()));
  }
}

MappedFile::~MappedFile() = default;

std::span<const std::byte> MappedFile::bytes() const {
  if (region_ == nullptr) return {};
  return {static_cast<const std::byte*>(region_->get_address()), region_->get_size()};
}

}  // namespace emulsion
