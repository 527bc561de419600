#pragma once

// Everything is compiled with hidden visibility; what crosses a library's border says so.
#if defined(_WIN32)
#define EMULSION_EXPORT __declspec(dllexport)
#define EMULSION_IMPORT __declspec(dllimport)
#else
#define EMULSION_EXPORT __attribute__((visibility("default")))
#define EMULSION_IMPORT __attribute__((visibility("default")))
#endif

#if defined(EMULSION_BUILDING_PLUGIN_API)
#define EMULSION_API EMULSION_EXPORT
#else
#define EMULSION_API EMULSION_IMPORT
#endif
