#include "entry.h"

BROKEN_ENTRY(sizeof(emulsion::PluginEntry), 7, 2, EMULSION_ABI_STAMP)
