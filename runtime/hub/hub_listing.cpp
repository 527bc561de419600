#include "hub/hub_listing.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "hub/hub_id.h"

namespace emulsion {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kSha1Digits = 40, kSha256Digits = 64;

bool is_hash(const std::string& text) {
  const auto is_hexadecimal = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  };
  return (text.size() == kSha1Digits || text.size() == kSha256Digits) &&
         std::ranges::all_of(text, is_hexadecimal);
}

// So that a name from elsewhere does not change what a terminal shows.
std::string printable(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < ' ' || c == 127; }, '?');
  return text;
}

HubFile file_of(const Json& entry, const std::string& place) {
  HubFile file;
  file.path = entry.at("rfilename").get<std::string>();
  if (!is_safe_path(file.path))
    throw WeightError(str(place, ": lists '", printable(file.path),
                          "': expected a path inside the repository; do not use this repository"));
  const auto large = entry.find("lfs");
  const bool is_large = large != entry.end() && large->is_object();
  file.bytes = (is_large ? *large : entry).at("size").get<Bytes>();
  file.etag = (is_large ? large->at("sha256") : entry.at("blobId")).get<std::string>();
  if (file.bytes < 0 || !is_hash(file.etag))
    throw WeightError(str(place, ": '", file.path, "': expected a size and a hash, got ",
                          file.bytes, " and '", printable(file.etag), "'; try again later"));
  return file;
}

}  // namespace

const HubFile* HubListing::find(const std::string& path) const {
  const auto found = std::ranges::find(files, path, &HubFile::path);
  return found != files.end() ? &*found : nullptr;
}

HubListing parse_hub_listing(const std::string& json, const std::string& place) {
  HubListing listing;
  try {
    const Json read = Json::parse(json);
    listing.commit = read.at("sha").get<std::string>();
    for (const Json& entry : read.at("siblings")) listing.files.push_back(file_of(entry, place));
  } catch (const Json::exception&) {
    throw WeightError(str(place,
                          ": the server's list of files: expected a commit with the sizes and "
                          "hashes of its files, got something else; try again later, or check "
                          "HF_ENDPOINT"));
  }
  if (!is_commit(listing.commit))
    throw WeightError(str(place,
                          ": the server's list of files: expected a commit of 40 digits, "
                          "got '",
                          printable(listing.commit), "'; try again later"));
  return listing;
}

}  // namespace emulsion
