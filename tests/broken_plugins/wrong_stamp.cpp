#include "entry.h"

BROKEN_ENTRY(sizeof(emulsion::PluginEntry), EMULSION_API_MAJOR, EMULSION_API_MINOR,
             "emulsion=1 torch=1.12.0 gcc9 cxx11abi=0 c++=201402")
