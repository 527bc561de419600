#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "models/tokenizer_files.h"

namespace emulsion::models {

// CLIP's byte-level byte-pair encoding; the ids are those of transformers' CLIPTokenizer.
// Immutable.  [any thread]
class Tokenizer {
 public:
  // Throws WeightError when a file is damaged, or a merge or special token is not in the
  // vocabulary.
  explicit Tokenizer(const Component& component);

  // The ids of a text, without start and end.  Throws GraphError when it is not UTF-8.
  std::vector<std::int64_t> encode(std::string_view text) const;

  std::int64_t bos() const { return bos_; }
  std::int64_t eos() const { return eos_; }
  std::int64_t pad() const { return pad_; }
  std::int64_t max_length() const { return max_length_; }  // of a chunk, start and end counted

 private:
  struct Merge {
    std::size_t rank;
    std::int64_t id;
  };
  struct Match;

  void read_merges(const TokenizerFiles& files);
  Match find_added(std::string_view text, std::size_t from, bool normalized_ones) const;
  void encode_normalized(std::string_view text, std::vector<std::int64_t>& ids) const;
  void encode_words(std::string_view text, std::vector<std::int64_t>& ids) const;
  void encode_word(std::string_view bytes, std::vector<std::int64_t>& ids) const;
  const Merge* find_merge(std::int64_t left, std::int64_t right) const;

  std::string place_;
  std::vector<AddedToken> added_;  // the content of a normalised one is normalised
  std::unordered_map<std::uint64_t, Merge> merges_;  // by both ids, 32 bits each
  std::vector<std::int64_t> byte_ids_,
      last_byte_ids_;  // of a byte inside, and at the end of a word
  std::int64_t bos_ = 0, eos_ = 0, pad_ = 0, max_length_ = 0;
};

}  // namespace emulsion::models
