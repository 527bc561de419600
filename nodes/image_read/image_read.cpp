#include <OpenImageIO/imageio.h>

#include <memory>

#include "emulsion/plugin.h"
#include "models/ops.h"

namespace emulsion {
namespace {

std::string one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

std::unique_ptr<OIIO::ImageInput> opened(const std::string& path) {
  OIIO::ImageSpec wishes;
  wishes["oiio:UnassociatedAlpha"] = 1;  // colours as stored, since alpha is dropped
  auto input = OIIO::ImageInput::open(path, &wishes);
  if (!input)
    throw GraphError(
        str("'", path, "' cannot be read: ", one_line(OIIO::geterror()), "; expected a picture"));
  const OIIO::ImageSpec& spec = input->spec();
  if (spec.width < 1 || spec.height < 1 || spec.nchannels < 1 || spec.depth > 1)
    throw GraphError(str("'", path, "' is ", spec.width, "x", spec.height, "x", spec.depth,
                         " with ", spec.nchannels, " channels: expected a flat picture"));
  return input;
}

// Exif 2.3, tag 274: 5 to 8 have rows and columns exchanged.
int orientation_of(const OIIO::ImageSpec& spec) { return spec.get_int_attribute("Orientation", 1); }

// [3, H, W] as stored -> as it is to be seen.
at::Tensor oriented(at::Tensor pixels, int orientation) {
  constexpr std::int64_t kRows = 1, kColumns = 2;
  if (orientation >= 5) pixels = pixels.transpose(kRows, kColumns);
  switch (orientation) {
    case 2:
    case 6: return pixels.flip({kColumns});
    case 3:
    case 7: return pixels.flip({kRows, kColumns});
    case 4:
    case 8: return pixels.flip({kRows});
    default: return pixels;
  }
}

bool is_linear(const OIIO::ImageSpec& spec) {
  const std::string space = spec.get_string_attribute("oiio:ColorSpace");
  if (space.empty()) return spec.format.is_floating_point();
  return OIIO::Strutil::istarts_with(space, "lin") || space == "scene_linear";
}

// IEC 61966-2-1, scene-linear to sRGB.
at::Tensor srgb_of(const at::Tensor& linear) {
  const at::Tensor curve = linear.pow(1 / 2.4).mul_(1.055).sub_(0.055);
  return at::where(linear.le(0.0031308), linear.mul(12.92), curve);
}

class ImageRead final : public Node {
 public:
  explicit ImageRead(const Params& params) : path_(params.get<std::string>("path")) {}

  Forecast forecast(const ForecastContext&) const override {
    const auto input = opened(path_);
    const OIIO::ImageSpec& spec = input->spec();
    std::int64_t height = spec.height, width = spec.width;
    if (orientation_of(spec) >= 5) std::swap(height, width);
    const TensorSpec image{{1, 3, height, width}, at::kFloat};
    const Bytes stored = Bytes{spec.nchannels} * height * width * Bytes{sizeof(float)};
    return {.outputs = {{"image", image}}, .workspace = stored + 4 * image.bytes()};
  }

  void run(RunContext& context) const override {
    const auto input = opened(path_);
    const OIIO::ImageSpec& spec = input->spec();
    at::Tensor stored = at::empty({spec.height, spec.width, spec.nchannels}, at::kFloat);
    if (!input->read_image(0, 0, 0, spec.nchannels, OIIO::TypeDesc::FLOAT, stored.data_ptr()))
      throw GraphError(str("'", path_, "' cannot be read: ", one_line(input->geterror()),
                           "; fetch the file again"));
    at::Tensor pixels = stored.permute({2, 0, 1});  // [channels, H, W]
    // Grey, or grey with alpha, becomes three equal channels; what follows the third is dropped.
    pixels =
        spec.nchannels < 3 ? pixels.narrow(0, 0, 1).expand({3, -1, -1}) : pixels.narrow(0, 0, 3);
    pixels = oriented(pixels, orientation_of(spec)).clamp(0, 1);
    if (is_linear(spec)) pixels = srgb_of(pixels);
    context.output("image", pixels.unsqueeze(0).contiguous());
  }

 private:
  std::string path_;
};

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "image_read",
       .summary = "Reads a picture from a file.",
       .outputs = {{"image", port::kImage}},
       .params = {{.name = "path",
                   .fallback = std::string("image.png"),
                   .help = "The file to read. Alpha is dropped, grey becomes colour, and "
                           "scene-linear values, as in EXR, get the sRGB curve.",
                   .file = true,
                   .animatable = false}},
       .runs_on = Home::Host,
       .file_endings = {".png", ".exr", ".tif", ".tiff", ".jpg", ".jpeg", ".webp"},
       .create = [](const Params& params) { return std::make_unique<ImageRead>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)
