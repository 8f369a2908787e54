#pragma once
#include <cstdint>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/base/clock.hpp"
#include "proto/deployment/deployment.hpp"

namespace holdfast::deploy::probe {

enum class Verdict : std::uint8_t { success, failure, timeout };

struct Outcome {
  Verdict verdict = Verdict::failure;
  std::string detail;  ///< "GET :8080/healthz → 500", "connect 10.89.0.5:6379: connection refused";
                       ///< safe to print
  std::chrono::microseconds duration{0};
};

/// Network probe from the host: connects to `address` (host byte order), http or tcp. Blocks at
/// most `timeout` (plus 10 ms), honours `stop`. Exec and notify probes belong to the runtime.
/// Thread safe. Reads at most 64 KiB + headers of 16 KiB.
[[nodiscard]] Outcome probe_http(const proto::HttpProbe& probe, std::uint32_t address,
                                 Milliseconds timeout, const std::stop_token& stop);
[[nodiscard]] Outcome probe_tcp(const proto::TcpProbe& probe, std::uint32_t address,
                                Milliseconds timeout, const std::stop_token& stop);

/// What a command that failed had to say: ": could not connect", its lines joined by " / ", at most
/// 200 bytes, printable; empty when it said nothing. Pure.
[[nodiscard]] std::string output_text(std::string_view output);

}  // namespace holdfast::deploy::probe
