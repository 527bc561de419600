#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "emulsion/memory.h"

namespace emulsion {

// Where the nodes of a phase may run.  Accelerator: any device but the cpu.
enum class Where : std::uint8_t { Anywhere, Accelerator, Host };

// What becomes of weights on an accelerator after their use.
enum class AfterUse : std::uint8_t {
  Planned,  // whatever takes least time
  Stay,     // nothing moves: they stay until the run ends
  Drop,     // they leave after their last use, even if the next run wants them again
};

// When memory that is free, but kept by the allocators, goes back to the system.
enum class Trim : std::uint8_t { Never, PhaseEnds, EveryStep };

// A way to use a machine, as a row of data.
struct Profile {
  std::string_view name;
  std::string_view summary;
  Bytes from = 0;  // an accelerator's memory from which on it is meant; 0: without one
  Where encode = Where::Anywhere, denoise = Where::Anywhere, decode = Where::Anywhere;
  // The variant of denoising nodes that have it, or where there is no room for that, a leaner one;
  // empty: any.
  std::string_view guidance = {};
  bool streams = true;  // weights may come block by block
  AfterUse after_use = AfterUse::Planned;
  Trim trim = Trim::Never;
};

// All rows, "auto" first, then from the largest accelerator to none.  [any thread]
std::span<const Profile> profiles();

// Throws GraphError with the names that there are.  [any thread]
const Profile& find_profile(std::string_view name);

// The row that is meant for an accelerator with so much memory; cpu_only for 0.  [any thread]
const Profile& profile_for(Bytes accelerator);

}  // namespace emulsion
