#include "weights/mapped_file.h"

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/file_mapping.hpp>
#include <boost/interprocess/mapped_region.hpp>
#include <map>
#include <mutex>
#include <string>
#include <system_error>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "weights/file_identity.h"

namespace emulsion {
namespace {

namespace ipc = boost::interprocess;

std::uint64_t size_of(const std::filesystem::path& path) {
  std::error_code unreadable;
  const bool is_file = std::filesystem::is_regular_file(path, unreadable);
  const std::uintmax_t bytes = is_file ? std::filesystem::file_size(path, unreadable) : 0;
  if (unreadable) throw WeightError(str(path.string(), ": ", unreadable.message()));
  if (!is_file) throw WeightError(str(path.string(), ": expected a file"));
  return bytes;
}

std::unique_ptr<ipc::mapped_region> region(const std::filesystem::path& path, std::uint64_t begin,
                                           std::uint64_t bytes) {
  if (bytes == 0) return nullptr;
  try {
    const ipc::file_mapping file(path.c_str(), ipc::read_only);
    return std::make_unique<ipc::mapped_region>(file, ipc::read_only,
                                                static_cast<ipc::offset_t>(begin), bytes);
  } catch (const ipc::interprocess_exception& fault) {
    throw WeightError(str(path.string(), ": cannot be mapped: ", fault.what()));
  }
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path)
    : region_(region(path, 0, size_of(path))) {}

MappedFile::MappedFile(const std::filesystem::path& path, std::uint64_t begin,
                       std::uint64_t bytes) {
  const std::uint64_t there = size_of(path);
  if (begin > there || bytes > there - begin)  // touching what is not there would end the process
    throw WeightError(str(path.string(), ": cut short: expected ", bytes, " bytes at byte ", begin,
                          ", got a file of ", there));
  region_ = region(path, begin, bytes);
}

MappedFile::~MappedFile() = default;

std::span<const std::byte> MappedFile::bytes() const {
  if (region_ == nullptr) return {};
  return {static_cast<const std::byte*>(region_->get_address()), region_->get_size()};
}

void MappedFile::touch() const {
  if (region_ == nullptr) return;
  region_->advise(ipc::mapped_region::advice_willneed);
  const std::span<const std::byte> all = bytes();
  for (std::size_t i = 0; i < all.size(); i += ipc::mapped_region::get_page_size())
    [[maybe_unused]] const auto seen = *reinterpret_cast<const volatile unsigned char*>(&all[i]);
}

std::shared_ptr<const MappedFile> shared_mapping(const std::filesystem::path& path,
                                                 const FileIdentity& opened) {
  static std::mutex mutex;
  static auto* const mappings = new std::map<std::string, std::weak_ptr<const MappedFile>>;
  const std::lock_guard lock(mutex);
  std::erase_if(*mappings, [](const auto& entry) { return entry.second.expired(); });
  const auto known = mappings->find(opened.text);
  auto mapping = known == mappings->end() ? nullptr : known->second.lock();
  if (mapping == nullptr) mapping = std::make_shared<const MappedFile>(path);
  expect_unchanged(path, opened);
  mappings->insert_or_assign(opened.text, mapping);
  return mapping;
}

}  // namespace emulsion
