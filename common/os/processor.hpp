#pragma once

namespace holdfast::os {

/// Whether ISA-L's sums run here. Its dispatcher asks for SSE 4.1 only and then uses PCLMULQDQ,
/// which usual models of virtual machines (Nehalem, x86-64-v2) lack: a child that unpacked died of
/// SIGILL. Elsewhere than on x86-64 there is no ISA-L in Debian 12.
[[nodiscard]] inline bool has_carryless_multiply() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("pclmul") != 0;
#else
  return false;
#endif
}

}  // namespace holdfast::os
