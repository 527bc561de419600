#include "hub/transfer/digest.h"

#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "emulsion/str.h"

namespace emulsion {

struct Digest::Context {
  const EVP_MD* method;
  EVP_MD_CTX* state = EVP_MD_CTX_new();

  explicit Context(const EVP_MD* chosen) : method(chosen) {
    if (state == nullptr || EVP_DigestInit_ex(state, method, nullptr) != 1)
      throw std::runtime_error("OpenSSL has no " + std::string(is_sha256() ? "SHA-256" : "SHA-1"));
  }
  ~Context() { EVP_MD_CTX_free(state); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  bool is_sha256() const { return method == EVP_sha256(); }
};

Digest::Digest(const std::string& etag, Bytes bytes) {
  constexpr std::size_t kSha256Digits = 64;
  const bool is_sha256 = etag.size() == kSha256Digits;
  context_ = std::make_unique<Context>(is_sha256 ? EVP_sha256() : EVP_sha1());
  if (!is_sha256) add(str("blob ", bytes, '\0'));  // what git puts before a file
}

Digest::~Digest() = default;
Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;

void Digest::add(std::string_view piece) {
  EVP_DigestUpdate(context_->state, piece.data(), piece.size());
}

Bytes Digest::add_file(const std::filesystem::path& file, const std::function<void()>& go_on) {
  std::vector<char> buffer(static_cast<std::size_t>(kMiB));
  std::ifstream stream(file, std::ios::binary);
  Bytes bytes = 0;
  while (stream) {
    go_on();
    stream.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    add({buffer.data(), static_cast<std::size_t>(stream.gcount())});
    bytes += stream.gcount();
  }
  return bytes;
}

std::string Digest::hexadecimal() {
  constexpr const char* kDigits = "0123456789abcdef";
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int bytes = 0;
  EVP_DigestFinal_ex(context_->state, hash.data(), &bytes);
  std::string text;
  for (unsigned int i = 0; i < bytes; ++i) {
    text += kDigits[hash[i] / 16];
    text += kDigits[hash[i] % 16];
  }
  return text;
}

const char* Digest::name() const { return context_->is_sha256() ? "sha256" : "git's sha1"; }

}  // namespace emulsion
