#include <OpenImageIO/filesystem.h>
#include <OpenImageIO/imageio.h>

#include <filesystem>
#include <memory>

#include "emulsion/output_file.h"
#include "emulsion/plugin.h"
#include "models/ops.h"

namespace emulsion {
namespace {

using OIIO::TypeDesc;

struct Format {
  std::string_view ending, name;  // the name is OpenImageIO's
  TypeDesc usual;
  std::vector<TypeDesc> others = {};
};

const std::vector<Format>& formats() {
  static const std::vector<Format> known{
      {".png", "png", TypeDesc::UINT8, {TypeDesc::UINT16}},
      {".exr", "openexr", TypeDesc::HALF, {TypeDesc::FLOAT}},
      {".tif", "tiff", TypeDesc::UINT8, {TypeDesc::UINT16, TypeDesc::FLOAT}},
      {".tiff", "tiff", TypeDesc::UINT8, {TypeDesc::UINT16, TypeDesc::FLOAT}},
      {".jpg", "jpeg", TypeDesc::UINT8},
      {".jpeg", "jpeg", TypeDesc::UINT8},
      {".webp", "webp", TypeDesc::UINT8}};
  return known;
}

const Format& format_of(const std::filesystem::path& path) {
  std::string ending = path.extension().string(), endings;
  for (char& c : ending)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  for (const Format& format : formats()) {
    if (format.ending == ending) return format;
    endings += str(endings.empty() ? "" : ", ", format.ending);
  }
  throw GraphError(str("'", path.string(), "' has no ending of a picture: expected ", endings));
}

// What a value of a file is; `bits` is "auto", "8", "16" or "float".
TypeDesc pixel_type(const Format& format, const std::string& bits) {
  std::vector<TypeDesc> types = format.others;
  types.insert(types.begin(), format.usual);
  const auto fits = [&](TypeDesc type) {
    if (bits == "auto") return true;
    if (bits == "float") return type == TypeDesc::FLOAT;
    return type != TypeDesc::FLOAT && type.size() * 8 == static_cast<std::size_t>(std::stoi(bits));
  };
  const auto found = std::ranges::find_if(types, fits);
  if (found == types.end())
    throw GraphError(str("'bits' is ", bits, ": a ", format.ending.substr(1),
                         " file does not hold that; take 'auto'"));
  return *found;
}

// IEC 61966-2-1: what the sRGB curve made of scene-linear values, undone.
at::Tensor linear_of(const at::Tensor& srgb) {
  const at::Tensor curve = srgb.add(0.055).div_(1.055).pow_(2.4);
  return at::where(srgb.le(0.04045), srgb.div(12.92), curve);
}

// [3, H, W] in 0..1 -> [H, W, 3], as the file holds it.
at::Tensor pixels_of(const at::Tensor& picture, TypeDesc type, bool linear) {
  at::Tensor pixels = picture.permute({1, 2, 0}).to(at::kFloat).clamp(0, 1).contiguous();
  if (linear) pixels = linear_of(pixels);
  if (type == TypeDesc::HALF) return pixels.to(at::kHalf);
  if (type == TypeDesc::FLOAT) return pixels;
  const at::Tensor whole = pixels.mul(type == TypeDesc::UINT8 ? 255 : 65535).round_();
  return whole.to(type == TypeDesc::UINT8 ? at::kByte : at::kUInt16);
}

std::string one_line(std::string text) {
  std::ranges::replace(text, '\n', ' ');
  return text;
}

// The file's bytes, made in memory: what a full disk does is then seen in one place.
std::vector<unsigned char> encoded(const at::Tensor& pixels, const Format& format, TypeDesc type,
                                   bool linear) {
  OIIO::ImageSpec spec(static_cast<int>(pixels.size(1)), static_cast<int>(pixels.size(0)), 3, type);
  // A TIFF would get an Exif directory for it, which OpenImageIO cannot make in memory.
  if (format.name != "tiff") spec.attribute("oiio:ColorSpace", linear ? "Linear" : "sRGB");
  spec.attribute("Software", "Emulsion");
  if (format.name == "jpeg") spec.attribute("Compression", "jpeg:95");
  if (format.name == "webp") spec.attribute("Compression", "webp:95");
  std::vector<unsigned char> bytes;
  OIIO::Filesystem::IOVecOutput memory(bytes);
  const auto output = OIIO::ImageOutput::create(std::string(format.name));
  if (!output || output->supports("ioproxy") == 0)
    throw RunError(
        str("this OpenImageIO writes no ", format.ending.substr(1), " files; take another ending"));
  output->set_ioproxy(&memory);
  if (!output->open(std::string(format.ending), spec) ||
      !output->write_image(type, pixels.const_data_ptr()) || !output->close())
    throw RunError(str("the ", format.ending.substr(1),
                       " file cannot be made: ", one_line(output->geterror())));
  return bytes;
}

class ImageWrite final : public Node {
 public:
  explicit ImageWrite(const Params& params)
      : path_(params.get<std::string>("path")),
        bits_(params.get<std::string>("bits")),
        colorspace_(params.get<std::string>("colorspace")) {}

  Forecast forecast(const ForecastContext& context) const override {
    const TensorSpec& image = context.tensor("image");
    if (image.shape.size() != 4 || image.shape[1] != 3)
      throw GraphError(
          str("input 'image' is ", shape_text(image.shape), ": expected [B, 3, H, W]"));
    pixel_type(format_of(path_), bits_);
    check_can_hold(path_);  // before hours are spent on what is to be written
    const Bytes picture = 3 * image.shape[2] * image.shape[3] * Bytes{sizeof(float)};
    return {.outputs = {{"paths", joined(paths_of(image.shape[0]))}}, .workspace = 6 * picture};
  }

  void run(RunContext& context) const override {
    const at::Tensor& image = context.tensor("image");
    const Format& format = format_of(path_);
    const TypeDesc type = pixel_type(format, bits_);
    const bool linear =
        colorspace_ == "linear" || (colorspace_ == "auto" && type.is_floating_point());
    const std::vector<std::string> paths = paths_of(image.size(0));
    for (std::size_t i = 0; i < paths.size(); ++i) {
      context.check_cancelled();
      const at::Tensor pixels =
          pixels_of(image.select(0, static_cast<std::int64_t>(i)), type, linear);
      const std::vector<unsigned char> bytes = encoded(pixels, format, type, linear);
      OutputFile file(paths[i]);
      file.write(std::as_bytes(std::span(bytes)));
      file.commit();
    }
    context.output("paths", joined(paths));
  }

 private:
  // FILE.png, or FILE_0001.png and so on.
  std::vector<std::string> paths_of(std::int64_t batch) const {
    if (batch == 1) return {path_};
    const std::filesystem::path path(path_);
    std::vector<std::string> paths;
    for (std::int64_t i = 1; i <= batch; ++i) {
      const std::string number = std::to_string(i);
      const std::string zeros(number.size() < 4 ? 4 - number.size() : 0, '0');
      const std::string name =
          str(path.stem().string(), "_", zeros, number, path.extension().string());
      paths.push_back((path.parent_path() / name).string());
    }
    return paths;
  }

  static std::string joined(const std::vector<std::string>& paths) {
    std::string lines;
    for (const std::string& path : paths) lines += str(lines.empty() ? "" : "\n", path);
    return lines;
  }

  std::string path_, bits_, colorspace_;
};

std::vector<std::string> endings() {
  std::vector<std::string> all;
  for (const Format& format : formats())
    if (OIIO::ImageOutput::create(std::string(format.name))) all.emplace_back(format.ending);
  return all;
}

void describe(std::vector<NodeDescriptor>& nodes) {
  nodes.push_back(
      {.id = "image_write",
       .summary = "Writes pictures to files.",
       .inputs = {{"image", port::kImage}},
       .outputs = {{"paths", port::kPaths}},
       .params = {{.name = "path",
                   .fallback = std::string("image.png"),
                   .help = "The file to write; its ending chooses the format. A batch goes to "
                           "FILE_0001.png and so on.",
                   .file = true,
                   .animatable = false},
                  {.name = "bits",
                   .fallback = std::string("auto"),
                   .help = "Of each value; `auto`: half floats for EXR, else 8.",
                   .choices = {"auto", "8", "16", "float"}},
                  {.name = "colorspace",
                   .fallback = std::string("auto"),
                   .help = "`linear` undoes the sRGB curve; `auto` does so for floating point.",
                   .choices = {"auto", "srgb", "linear"}}},
       .runs_on = Home::Host,
       .has_effects = true,
       .file_endings = endings(),
       .create = [](const Params& params) { return std::make_unique<ImageWrite>(params); }});
}

}  // namespace
}  // namespace emulsion

EMULSION_PLUGIN(emulsion::describe)
