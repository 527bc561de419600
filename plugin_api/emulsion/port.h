#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace emulsion {

// How a value sits in memory.  Closed: the runtime must be able to size and move every kind.
// An image is a tensor: what makes it an image is the meaning of its port type.
enum class Holding : std::uint8_t { Bool, Int, Float, String, Tensor, Bundle };

// Where a value lives.  Host values are small and read by code (token ids, sigmas); the planner
// never moves them to an accelerator, so that reading them stops no stream.
enum class Home : std::uint8_t { Device, Host };

// What a value means.  Open: a plug-in may define more.  Ports connect when the names match.
// The views must point at storage that lives until the process ends, as literals do.
struct PortType {
  std::string_view name;
  Holding holding = Holding::Tensor;
  std::string_view layout;  // shapes, units and value range, for people
  Home home = Home::Device;
};

struct PortSpec {
  std::string name;
  PortType type;
  std::string help = {};
  bool optional = false;  // inputs only: run() may find it absent
};

// The port types that the shipped nodes share.  B batch, K chunks, L tokens, D width, n steps.
namespace port {
inline constexpr PortType kBool{"bool", Holding::Bool, "true or false", Home::Host};
inline constexpr PortType kInt{"int", Holding::Int, "64 bits", Home::Host};
inline constexpr PortType kFloat{"float", Holding::Float, "64 bits", Home::Host};
inline constexpr PortType kText{"text", Holding::String, "UTF-8", Home::Host};
inline constexpr PortType kTokens{"tokens", Holding::Bundle,
                                  "{ids [K, L] int64, weights [K, L] float32, empty [1, L] int64}",
                                  Home::Host};
// For SDXL it has the pooled state of the prompt, and what its sizes are embedded from: original
// height and width, top and left of the crop, then target height and width or an aesthetic score.
inline constexpr PortType kCondition{
    "condition", Holding::Bundle,
    "{hidden [1, K*L, D], pooled [1, P] (optional), time_ids [1, n] float32 (optional)}"};
// Sigmas are those of the variance-exploding form, sigma = sqrt((1 - abar) / abar), where abar is
// the cumulative product of alphas (Karras et al. 2022, "Elucidating the Design Space", table 1).
inline constexpr PortType kSchedule{
    "schedule", Holding::Bundle,
    "{sigmas [n+1], targets [n] (optional), timesteps [n], initial_scale [1], "
    "first [1] (optional): the step that index 0 stands for}, float64",
    Home::Host};
inline constexpr PortType kLatent{"latent", Holding::Tensor, "[B, 4, H/8, W/8], float32"};
inline constexpr PortType kHistory{"history", Holding::Bundle, "what a multistep sampler keeps"};
inline constexpr PortType kImage{"image", Holding::Tensor, "[B, 3, H, W], float32, 0..1, sRGB"};
inline constexpr PortType kPaths{"paths", Holding::String, "file names, one a line", Home::Host};
}  // namespace port

}  // namespace emulsion
