#include <ATen/ops/equal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "check.h"
#include "emulsion/session.h"
#include "emulsion/str.h"
#include "fakes/checkpoint_file.h"
#include "weights/safetensors_writer.h"

using namespace emulsion;
namespace fs = std::filesystem;

namespace {

// A reference model as a single file, with the folder's configs and tokenizer beside it.
class SingleFile {
 public:
  explicit SingleFile(const std::string& model)
      : folder_(fs::temp_directory_path() / str("emulsion_single_file_", getpid())) {
    const fs::path whole = fs::path("reference") / model;
    fs::remove_all(folder_);
    for (const char* part : {"unet", "vae", "text_encoder", "scheduler", "tokenizer"}) {
      fs::create_directories(folder_ / part);
      for (const fs::directory_entry& entry : fs::directory_iterator(whole / part))
        if (entry.path().extension() != ".safetensors")
          fs::copy(entry.path(), folder_ / part / entry.path().filename());
    }
    save_safetensors(folder_ / "model.safetensors",
                     fakes::as_checkpoint(whole, fakes::checkpoint_names(model)));
  }
  ~SingleFile() { fs::remove_all(folder_); }
  SingleFile(const SingleFile&) = delete;
  SingleFile& operator=(const SingleFile&) = delete;

  std::string path() const { return (folder_ / "model.safetensors").string(); }

 private:
  fs::path folder_;
};

at::Tensor picture(const Session& session, const std::string& model) {
  const Outcome outcome = session.run({.graph = "sd21_txt2img",
                                       .values = {{"model", model},
                                                  {"prompt", "a large red star"},
                                                  {"width", "64"},
                                                  {"height", "64"},
                                                  {"steps", "3"},
                                                  {"seed", "11"}},
                                       .files = {},
                                       .devices = {},
                                       .dtype = "f32"});
  return std::get<at::Tensor>(outcome.outputs.at("image"));
}

}  // namespace

TEST_CASE("a single file gives the folder's picture, bit for bit") {
  const Session session({fs::path(std::getenv("EMULSION_TEST_BUILD")) / "lib/emulsion/nodes"});
  for (const std::string model : {"sd15_like", "sd21_base_like"}) {
    CAPTURE(model);
    const SingleFile file(model);
    CHECK(at::equal(picture(session, file.path()), picture(session, "reference/" + model)));
  }
}
