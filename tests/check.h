#pragma once

// doctest's macros.  LibTorch's logging header defines a CHECK of its own that aborts, so it comes
// first and gives way; its guard keeps it from coming back.
#include <c10/util/Logging.h>
#undef CHECK
#include <doctest/doctest.h>
