#include <unistd.h>

#include <filesystem>

#include "check.h"
#include "emulsion/str.h"
#include "fakes/checkpoint_file.h"
#include "models/clip_text.h"
#include "models/unet.h"
#include "models/vae.h"
#include "models/vae_encoder.h"

// Full-size checkpoints whose data was never written: names, shapes and configs alone.

namespace emulsion::models {
namespace {

namespace fs = std::filesystem;

class HollowFile {
 public:
  explicit HollowFile(const std::string& names)
      : path_(fs::temp_directory_path() / str("emulsion_hollow_", getpid(), ".safetensors")) {
    fakes::write_hollow_checkpoint(path_, fakes::checkpoint_names(names));
  }
  ~HollowFile() { fs::remove(path_); }
  HollowFile(const HollowFile&) = delete;
  HollowFile& operator=(const HollowFile&) = delete;

  OpenComponent open(const std::string& part) const { return open_component(path_, part); }

 private:
  fs::path path_;
};

WeightView view_of(const OpenComponent& open) { return WeightView(header_of(open, c10::kHalf)); }

void check_unet(const OpenComponent& open) {
  const WeightView view = view_of(open);
  const Unet unet(view, read_unet_config(*open.component));
  view.finish();
}

void check_text_encoder(const OpenComponent& open) {
  const WeightView view = view_of(open);
  const ClipText text(view, read_clip_text_config(*open.component));
  view.finish();
}

void check_vae(const OpenComponent& open) {
  const VaeConfig config = read_vae_config(*open.component);
  CHECK(config.upscale() == 8);
  const WeightView decoding = view_of(open), encoding = view_of(open);
  const VaeDecoder decoder(decoding, config);
  const VaeEncoder encoder(encoding, config);
  decoding.finish();
  encoding.finish();
}

}  // namespace

TEST_CASE("the networks of full-size single files are built from what the files tell") {
  const HollowFile sd15("sd15");
  check_unet(sd15.open("unet"));
  check_text_encoder(sd15.open("text_encoder"));
  CHECK(read_prediction(*sd15.open("scheduler").component) == Prediction::Epsilon);
  check_vae(sd15.open("vae"));
  const HollowFile sd21("sd21");
  check_unet(sd21.open("unet"));
  check_text_encoder(sd21.open("text_encoder"));
}

}  // namespace emulsion::models
