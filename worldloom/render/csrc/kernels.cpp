// Compiled once for each instruction set in float32; see worldloom_kernels() in the root CMakeLists.txt.
#include "kernels.inc"
