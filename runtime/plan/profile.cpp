#include "plan/profile.h"

#include <algorithm>
#include <array>

#include "emulsion/errors.h"
#include "emulsion/str.h"

namespace emulsion {
namespace {

constexpr Bytes kGB = 1'000'000'000;

constexpr std::array<Profile, 6> kProfiles{{
    {.name = "auto", .summary = "whatever takes least time within the budgets"},
    {.name = "full_gpu",
     .summary = "all on the accelerator, nothing moves",
     .from = 16 * kGB,
     .encode = Where::Accelerator,
     .denoise = Where::Accelerator,
     .decode = Where::Accelerator,
     .guidance = "batched",
     .streams = false,
     .after_use = AfterUse::Stay},
    {.name = "balanced",
     .summary = "UNet and decoder on the accelerator, text encoders on the cpu",
     .from = 10 * kGB,
     .encode = Where::Host,
     .denoise = Where::Accelerator,
     .decode = Where::Accelerator,
     .guidance = "batched",
     .streams = false,
     .trim = Trim::PhaseEnds},
    {.name = "gpu_poor",
     .summary = "the UNet leaves the accelerator before the decoder comes",
     .from = 6 * kGB,
     .denoise = Where::Accelerator,
     .guidance = "sequential",
     .streams = false,
     .after_use = AfterUse::Drop,
     .trim = Trim::PhaseEnds},
    {.name = "extreme",
     .summary = "the UNet on the accelerator, streamed where it does not fit",
     .from = 1,
     .denoise = Where::Accelerator,
     .guidance = "sequential",
     .after_use = AfterUse::Drop,
     .trim = Trim::EveryStep},
    {.name = "cpu_only",
     .summary = "all on the cpu",
     .encode = Where::Host,
     .denoise = Where::Host,
     .decode = Where::Host,
     .guidance = "batched",
     .after_use = AfterUse::Drop},
}};

}  // namespace

std::span<const Profile> profiles() { return kProfiles; }

const Profile& find_profile(std::string_view name) {
  const auto found = std::ranges::find(kProfiles, name, &Profile::name);
  if (found != kProfiles.end()) return *found;
  std::string names;
  for (const Profile& profile : kProfiles) names += str(names.empty() ? "" : ", ", profile.name);
  throw GraphError(str("--profile ", name, ": expected one of ", names));
}

const Profile& profile_for(Bytes accelerator) {
  const auto meant = [&](const Profile& profile) {
    return profile.name != "auto" && accelerator >= profile.from;
  };
  return *std::ranges::find_if(kProfiles, meant);
}

}  // namespace emulsion
