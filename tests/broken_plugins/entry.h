#pragma once

#include "emulsion/plugin.h"

// A describe that must never be called: the door in front of it is wrong.
inline const char* never_called(std::vector<emulsion::NodeDescriptor>&) { __builtin_trap(); }

#define BROKEN_ENTRY(struct_size, api_major, api_minor, abi_stamp)                             \
  extern "C" EMULSION_EXPORT const emulsion::PluginEntry emulsion_plugin;                      \
  extern "C" const emulsion::PluginEntry emulsion_plugin = {struct_size, api_major, api_minor, \
                                                            abi_stamp, never_called};
