// The scalar variant in float64, for derivative checks.
#define WL_ISA scalar64
#define WL_REAL double
#include "kernels.inc"
