#pragma once

// What nearly every file of nodes/models and of the nodes needs.
#include "emulsion/errors.h"
#include "emulsion/plugin.h"
#include "emulsion/str.h"
#include "kernels/tensor_ops.h"
