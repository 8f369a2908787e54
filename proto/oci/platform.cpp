#include <fmt/format.h>

#include <algorithm>

#include "common/base/text.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::proto::oci {
namespace {

constexpr std::size_t kMaxOffers = 20;  ///< platforms that a message lists

/// Level of the x86-64 psABI that this CPU reaches; "v1" is every 64-bit one.
[[maybe_unused]] std::string x86_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("ssse3") &&
                  __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                  __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return v4 ? "v4" : v3 ? "v3" : v2 ? "v2" : "v1";
#else
  return "v1";
#endif
}

bool is_manifest(std::string_view media_type) {
  return media_type == "application/vnd.oci.image.manifest.v1+json" ||
         media_type == "application/vnd.docker.distribution.manifest.v2+json" ||
         media_type == "application/vnd.oci.image.index.v1+json" ||
         media_type == "application/vnd.docker.distribution.manifest.list.v2+json";
}

/// "v8.2" → 802, "v7" → 700; 0 for anything else.
int level(std::string_view variant) {
  if (!variant.starts_with('v')) return 0;
  const auto parts = split(variant.substr(1), '.');
  const auto major = parse_number(parts[0]);
  const auto minor = parts.size() > 1 ? parse_number(parts[1]) : Result<std::uint64_t>{0U};
  if (parts.size() > 2 || !major || !minor || *major > 99 || *minor > 99) return 0;
  return static_cast<int>(*major * 100 + *minor);
}

/// How well an entry suits the host: higher is better, 0 is not at all
/// (packaging/doc/security.md 1.3).
int suitability(const Platform& offer, const Platform& host) {
  if (offer.os != host.os || offer.architecture != host.architecture) return 0;
  if (offer.variant == host.variant) return 100'000;
  const int offered = level(offer.variant);
  const int most = level(host.variant);
  if (offered == 0 || most == 0 || offered > most) return 0;
  if (host.architecture == "arm64" && offered < 800) return 0;
  if (host.architecture == "arm" && offered < 500) return 0;
  return offered;
}

std::string offers(const Index& index) {
  std::vector<std::string> names;
  for (const auto& entry : index.manifests) {
    if (!entry.platform || entry.platform->os == "unknown") continue;
    auto name = printable(to_string(*entry.platform));
    if (std::find(names.begin(), names.end(), name) == names.end())
      names.push_back(std::move(name));
  }
  if (names.empty()) return "no platform at all";
  const bool cut = names.size() > kMaxOffers;
  if (cut) names.resize(kMaxOffers);
  return fmt::format("{}{}", fmt::join(names, ", "), cut ? ", …" : "");
}

}  // namespace

std::string to_string(const Platform& platform) {
  const bool plain =
      platform.variant.empty() || (platform.architecture == "amd64" && platform.variant == "v1");
  return fmt::format("{}/{}{}{}", platform.os, platform.architecture, plain ? "" : "/",
                     plain ? "" : platform.variant);
}

Platform host_platform() {
#if defined(__x86_64__)
  return {"linux", "amd64", x86_level()};
#elif defined(__aarch64__)
  return {"linux", "arm64", "v8"};
#elif defined(__arm__)
  return {"linux", "arm", "v7"};
#elif defined(__riscv)
  return {"linux", "riscv64", ""};
#elif defined(__powerpc64__)
  return {"linux", "ppc64le", ""};
#elif defined(__s390x__)
  return {"linux", "s390x", ""};
#else
#error "name this machine's platform here"
#endif
}

Result<Descriptor> choose(const Index& index, const Platform& host) {
  const Descriptor* best = nullptr;
  int best_score = 0;
  const Descriptor* unnamed = nullptr;  // an entry without platform: its configuration decides
  for (const auto& entry : index.manifests) {
    if (!is_manifest(entry.media_type)) continue;
    if (!entry.platform) {
      if (unnamed == nullptr) unnamed = &entry;
      continue;
    }
    const int score = suitability(*entry.platform, host);
    if (score > best_score) {
      best = &entry;
      best_score = score;
    }
  }
  if (best == nullptr) best = unnamed;
  if (best != nullptr) return *best;
  return Error{Errc::platform, fmt::format("the image has no variant for {}; it offers {}",
                                           to_string(host), offers(index))}
      .hint("push a variant for this machine, or pin another image");
}

}  // namespace holdfast::proto::oci
