#include "models/tokenizer.h"

#include "check.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "models/tokenizer_unicode.h"
#include "weights/weight_store.h"

namespace emulsion::models {
namespace {

using Ids = std::vector<std::int64_t>;
using nlohmann::json;

Tokenizer tokenizer_of(const std::string& model) {
  return Tokenizer(*open_component("reference/" + model, "tokenizer").component);
}

// A tokenizer's folder that a test writes, gone with it.
class Folder {
 public:
  explicit Folder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / str("emulsion_tokenizer_", name)) {
    std::filesystem::create_directories(path_);
    component_.place = "model/tokenizer";
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  Folder& config(const std::string& text) {
    component_.config = text;
    return *this;
  }
  Folder& file(const std::string& name, const std::string& text) {
    std::ofstream(path_ / name, std::ios::binary) << text;
    component_.files[name] = path_ / name;
    return *this;
  }
  const Component& component() const { return component_; }

  std::string error() const {
    try {
      Tokenizer tokenizer(component_);
    } catch (const WeightError& e) {
      std::string text = e.what();
      for (std::size_t at; (at = text.find(path_.string())) != std::string::npos;)
        text.replace(at, path_.string().size(), "DIR");
      return text;
    }
    return "no error";
  }

 private:
  std::filesystem::path path_;
  Component component_;
};

const std::string kVocab =
    R"({"a":0,"b":1,"c":2,"a</w>":3,"b</w>":4,"c</w>":5,"ab":6,"ab</w>":7,"bc</w>":8,)"
    R"("!":9,"!</w>":10,"<|startoftext|>":11,"<|endoftext|>":12})";
const std::string kMerges = "#version: 0.2\nb c</w>\na b\na b</w>\n";

void check_reference(const std::string& model, bool pads_with_bang) {
  const Tokenizer tokenizer = tokenizer_of(model);
  std::ifstream file("reference/tokenizer_cases.jsonl");
  int cases = 0, wrong = 0;
  for (std::string line; std::getline(file, line); ++cases) {
    const json entry = json::parse(line);
    const char* key = pads_with_bang && entry.contains("bang_ids") ? "bang_ids" : "ids";
    const Ids ids = tokenizer.encode(entry["text"].get<std::string>());
    if (ids == entry[key].get<Ids>()) continue;
    ++wrong;
    INFO(entry.dump());
    CHECK(ids == entry[key].get<Ids>());
  }
  CHECK(cases == 2000);
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("the ids of 2,000 strings of many scripts are those of transformers") {
  check_reference("sd15_like", false);
}

TEST_CASE("tokenizer.json and a pad token that occurs in texts give transformers' ids, too") {
  check_reference("sd21_base_like", true);
}

TEST_CASE("start, end, padding and length come from the files") {
  const Tokenizer sd15 = tokenizer_of("sd15_like"), sd21 = tokenizer_of("sd21_base_like");
  CHECK(sd15.bos() == 1432);
  CHECK(sd15.eos() == 1433);
  CHECK(sd15.pad() == 1433);
  CHECK(sd15.max_length() == 77);
  CHECK(sd21.bos() == 1432);
  CHECK(sd21.eos() == 1433);
  CHECK(sd21.pad() == 0);
  CHECK(tokenizer_of("sd21_v_like").pad() == 0);
}

TEST_CASE("a special token in the files of old releases is found in any case, a plain one is not") {
  // sd21_v_like names its tokens as plain strings, sd15_like as objects with "normalized": true.
  CHECK(tokenizer_of("sd15_like").encode("<|STARTOFTEXT|>") == Ids{1432});
  CHECK(tokenizer_of("sd21_v_like").encode("<|STARTOFTEXT|>").size() > 1);
}

TEST_CASE("merges are read with and without the version line, and as strings or pairs in JSON") {
  const std::string head = R"({"model":{"vocab":)" + kVocab + R"(,"merges":)";
  Folder plain("plain"), bare("bare"), strings("strings"), pairs("pairs");
  plain.file("vocab.json", kVocab).file("merges.txt", kMerges);
  bare.file("vocab.json", kVocab).file("merges.txt", "b c</w>\r\na b\r\na b</w>");
  strings.file("tokenizer.json", head + R"(["b c</w>","a b","a b</w>"]}})");
  pairs.file("tokenizer.json", head + R"([["b","c</w>"],["a","b"],["a","b</w>"]]}})");
  for (const Folder* folder : {&plain, &bare, &strings, &pairs}) {
    const Tokenizer tokenizer(folder->component());
    CHECK(tokenizer.encode("ab abc ABB") == Ids{7, 0, 8, 6, 4});
    CHECK(tokenizer.pad() == 12);
    CHECK(tokenizer.max_length() == 77);
  }
}

TEST_CASE("an unlimited model_max_length is 77, another one is taken") {
  Folder folder("length");
  folder.file("vocab.json", kVocab).file("merges.txt", kMerges);
  folder.config(R"({"model_max_length": 1000000000000000019884624838656})");
  CHECK(Tokenizer(folder.component()).max_length() == 77);
  folder.config(R"({"model_max_length": 20, "pad_token": {"content": "!"}})");
  CHECK(Tokenizer(folder.component()).max_length() == 20);
  CHECK(Tokenizer(folder.component()).pad() == 9);
  folder.config(R"({"model_max_length": 2})");
  CHECK(folder.error() ==
        "model/tokenizer: config 'model_max_length' is 2: expected a whole number of at least 3");
}

TEST_CASE("special_tokens_map.json and added_tokens_decoder are heard") {
  Folder folder("special");
  folder.file("vocab.json", kVocab).file("merges.txt", kMerges);
  folder.file("special_tokens_map.json", R"({"pad_token": "!"})");
  CHECK(Tokenizer(folder.component()).pad() == 9);
  CHECK(Tokenizer(folder.component()).encode("a!") == Ids{3, 9});
  folder.config(R"({"added_tokens_decoder": {"13": {"content": "<cat>", "special": true}}})");
  CHECK(Tokenizer(folder.component()).pad() == 12);
  CHECK(Tokenizer(folder.component()).encode("a<cat>b") == Ids{3, 13, 4});
}

TEST_CASE("tokens of added_tokens.json are found in any case") {
  Folder folder("added");
  folder.file("vocab.json", kVocab).file("merges.txt", kMerges);
  folder.file("added_tokens.json", R"({"<Cat>": 13, "<dog>": 14})");
  CHECK(Tokenizer(folder.component()).encode("a<CAT>b<dog>") == Ids{3, 13, 4, 14});
}

TEST_CASE("bytes that the vocabulary lacks are unknown tokens") {
  Folder folder("unknown");
  folder.file("vocab.json", kVocab).file("merges.txt", kMerges);
  CHECK(Tokenizer(folder.component()).encode("az") == Ids{0, 12});
}

TEST_CASE("damaged tokenizer files are refused with one line") {
  CHECK(Folder("none").error() ==
        "model/tokenizer: 'vocab.json' is missing: expected vocab.json and merges.txt, or "
        "tokenizer.json");
  CHECK(Folder("no_merges").file("vocab.json", kVocab).error() ==
        "model/tokenizer: 'merges.txt' is missing: expected vocab.json and merges.txt, or "
        "tokenizer.json");
  CHECK(Folder("json").file("vocab.json", "{\"a\":").file("merges.txt", "").error() ==
        "DIR/vocab.json: expected a JSON object; fetch the file again");
  CHECK(Folder("empty").file("tokenizer.json", R"({"model":{"type":"BPE"}})").error() ==
        "DIR/tokenizer.json: no vocabulary: expected an object of token: id; fetch the file again");
  CHECK(Folder("model").file("tokenizer.json", R"({"model":7})").error() ==
        "DIR/tokenizer.json: no vocabulary: expected an object of token: id; fetch the file again");
  CHECK(Folder("no_list").file("tokenizer.json", R"({"model":{"vocab":{"a":0}}})").error() ==
        "DIR/tokenizer.json: no 'merges': expected a list; fetch the file again");
  CHECK(Folder("twice").file("vocab.json", R"({"a":0,"b":0})").file("merges.txt", "").error() ==
        "DIR/vocab.json: tokens 'a' and 'b' have one id, 0: expected an id for each; "
        "fetch the file again");
  CHECK(Folder("id").file("vocab.json", R"({"a":-1})").file("merges.txt", "").error() ==
        "DIR/vocab.json: token 'a' has the id -1: expected a whole number below 1048576; "
        "fetch the file again");
  CHECK(Folder("nested").file("vocab.json", R"({"a":{"b":0}})").file("merges.txt", "").error() ==
        "DIR/vocab.json: token 'a' has the id an object: expected a whole number below 1048576; "
        "fetch the file again");
  CHECK(Folder("half").file("vocab.json", R"({"a":0.5})").file("merges.txt", "").error() ==
        "DIR/vocab.json: token 'a' has the id 0.5: expected a whole number below 1048576; "
        "fetch the file again");
  CHECK(Folder("three").file("vocab.json", kVocab).file("merges.txt", "a b c\n").error() ==
        "DIR/merges.txt: merge 1 is 'a b c': expected two tokens; fetch the file again");
  CHECK(Folder("foreign").file("vocab.json", kVocab).file("merges.txt", "a z\n").error() ==
        "DIR/merges.txt: merge 'a z' needs the token 'z', which is not in the vocabulary; "
        "fetch the files again");
  CHECK(Folder("joined").file("vocab.json", kVocab).file("merges.txt", "b b\n").error() ==
        "DIR/merges.txt: merge 'b b' needs the token 'bb', which is not in the vocabulary; "
        "fetch the files again");
}

TEST_CASE("a text that is not UTF-8 is refused at the byte where it ends to be") {
  const Tokenizer tokenizer = tokenizer_of("sd15_like");
  const auto message = [&](const std::string& text) {
    try {
      tokenizer.encode(text);
    } catch (const GraphError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  CHECK(message("a caf\xE9 at night") ==
        "the text is not UTF-8: got byte 0xe9 at offset 5; save it as UTF-8");
  CHECK(message("\xC3") == "the text is not UTF-8: got byte 0xc3 at offset 0; save it as UTF-8");
  CHECK(message("ok\xED\xA0\x80") ==
        "the text is not UTF-8: got byte 0xed at offset 2; save it as UTF-8");  // a surrogate
  CHECK(message("x\xF4\x90\x80\x80") ==
        "the text is not UTF-8: got byte 0xf4 at offset 1; save it as UTF-8");  // above U+10FFFF
}

TEST_CASE("a word of a million letters is done in a moment") {
  const Tokenizer tokenizer = tokenizer_of("sd15_like");
  CHECK(tokenizer.encode(std::string(1'000'000, 'a')).size() > 100'000);
}

TEST_CASE("text is composed, its white space collapsed, and lower-cased letter by letter") {
  CHECK(normalized("A\u0301  \t\n\u3000B") == "\u00e1 b");
  CHECK(normalized("\u0130\u03a3") == "i\u0307\u03c3");   // no final sigma
  CHECK(normalized("e\u1ac1\u0323") == "e\u1ac1\u0323");  // a mark of Unicode 14 stays first
  CHECK(normalized("\ua7cb") == "\u0264");                // of Unicode 16
  CHECK(char_class(U'\u01c5') == CharClass::Letter);
  CHECK(char_class(U'\u00bd') == CharClass::Number);
  CHECK(char_class(U'\u2028') == CharClass::Space);
  CHECK(char_class(U'\u200b') == CharClass::Other);
  CHECK(char_class(U'\u1c89') == CharClass::Letter);  // of Unicode 16
}

}  // namespace emulsion::models
