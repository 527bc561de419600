#pragma once

#include <string>

#include "options.h"

namespace emulsion::cli {

// Does what the command line asks for and gives the exit status; `usage` is the command's help.
// Throws Error's classes.
int run_command(const Options& options, const std::string& usage);

}  // namespace emulsion::cli
