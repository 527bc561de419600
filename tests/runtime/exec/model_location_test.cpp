#include "exec/model_location.h"

#include <cstdlib>

#include "check.h"
#include "emulsion/errors.h"
#include "emulsion/str.h"
#include "runtime/weights/scratch.h"

using namespace emulsion;

TEST_CASE("a hub id is what is no path, and does not begin with a folder that is here") {
  CHECK(hub_id_of("owner/name@v1")->revision == "v1");
  CHECK(!hub_id_of("runtime/none"));  // tests run where runtime/ is
  CHECK(!hub_id_of("runtime/exec"));
  CHECK(!hub_id_of("none"));
}

TEST_CASE("a model that the hub's cache lacks is told with how to get it") {
  const Scratch scratch;
  setenv("HF_HUB_CACHE", scratch.folder().c_str(), 1);
  CHECK_THROWS_WITH_AS(locate_model("owner/name"),
                       str("model 'owner/name': the hub's cache '", scratch.folder().string(),
                           "' has nothing of it; get it with: emulsion models pull owner/name")
                           .c_str(),
                       WeightError);
  const std::string commit(40, 'a'), snapshot = "models--owner--name/snapshots/" + commit;
  scratch.write("models--owner--name/refs/main", commit);
  scratch.write(snapshot + "/model_index.json", R"({"unet": ["diffusers", "UNet"]})");
  CHECK_THROWS_WITH_AS(locate_model("owner/name"),
                       str("model 'owner/name': the hub's cache '", scratch.folder().string(),
                           "' has no part 'unet'; get it with: emulsion models pull owner/name")
                           .c_str(),
                       WeightError);
  scratch.write(snapshot + "/unet/config.json", "{}");
  scratch.write(snapshot + "/unet/diffusion_pytorch_model.fp16.safetensors", "");
  CHECK(locate_model("owner/name") == scratch.folder() / snapshot);
  unsetenv("HF_HUB_CACHE");
}
