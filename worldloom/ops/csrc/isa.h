// Which instruction set to run, asked once: the best this CPU has, or what WORLDLOOM_ISA=scalar|avx2|avx512 says.
#pragma once
#include <cstdlib>
#include <stdexcept>
#include <string>

namespace wl {

enum class Isa { scalar = 0, avx2 = 1, avx512 = 2 };

inline const char* isa_name(Isa isa) {
  return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "scalar";
}

inline Isa best_isa() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq"))
    return Isa::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Isa::avx2;
#endif
  return Isa::scalar;
}

inline Isa isa_from_name(const std::string& name) {
  Isa wanted;
  if (name == "scalar") wanted = Isa::scalar;
  else if (name == "avx2") wanted = Isa::avx2;
  else if (name == "avx512") wanted = Isa::avx512;
  else throw std::invalid_argument("expected an instruction set scalar, avx2 or avx512, got '" + name + "'");
  if (wanted > best_isa())
    throw std::invalid_argument(std::string("instruction set ") + name + " was asked for, but this CPU has only " +
                                isa_name(best_isa()));
  return wanted;
}

// Read at every call, so that a test can switch; getenv costs nothing beside a kernel.
inline Isa active_isa() {
  const char* wanted = std::getenv("WORLDLOOM_ISA");
  return wanted && *wanted ? isa_from_name(wanted) : best_isa();
}

}  // namespace wl
