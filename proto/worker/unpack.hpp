#pragma once
/// \file
/// What the daemon and `holdfast-worker unpack` and `verify` say to each other: one JSON object a
/// message. Nothing a child says is believed beyond its form; digests are compared in the daemon.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::proto::worker {

/// Descriptors of `holdfast-worker unpack ROOM`.
inline constexpr int kUnpackInput = 0;   ///< the compressed layer
inline constexpr int kUnpackTree = 3;    ///< the empty directory to unpack into
inline constexpr int kUnpackReport = 4;  ///< one UnpackReport, then the end
inline constexpr int kUnpackJob = 5;  ///< one UnpackJob, then the end; the end alone: nothing to do
inline constexpr int kUnpackLowers = 10;  ///< and up: trees of the layers below, lowest first

/// Descriptors of `holdfast-worker verify`.
inline constexpr int kVerifyTree = 3;    ///< the unpacked layer
inline constexpr int kVerifyReport = 4;  ///< VerifyReports, one a line; the last one is `done`

inline constexpr std::size_t kMaxJobBytes = 64U << 10;
inline constexpr std::size_t kMaxReportBytes = 32U << 20;

/// What an unpacker is confined by; known before the layer is.
struct UnpackLimits {
  std::uint64_t max_bytes = 0;  ///< most uncompressed bytes of any layer
  std::uint32_t lowers = 0;     ///< descriptors from kUnpackLowers on
};

/// The most that any job gets.
inline constexpr std::uint64_t kMostCpuSeconds = 3600;

struct UnpackJob {
  oci::Compression compression = oci::Compression::none;
  std::uint64_t size = 0;         ///< compressed bytes, exactly
  std::uint64_t space = 0;        ///< most uncompressed bytes that there is room for now
  std::uint64_t keep_bytes = 0;   ///< of the disk for others: whoever comes to it stops
  std::uint64_t keep_inodes = 0;  ///< the same; 0 where the file system does not count them
  std::uint64_t max_entries = 0;
  std::uint64_t cpu_seconds = 0;  ///< of all its threads together; at most `kMostCpuSeconds`
};

struct UnpackReport {
  std::string blob;     ///< sha256 of the compressed bytes, hex
  std::string diff_id;  ///< sha256 of the tar, hex
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
  bool needs_lower = false;
  std::vector<std::string> implicit_directories;
  std::vector<std::string> whiteout_parents;
  std::uint64_t unsupported_xattrs = 0;
  std::string tree;  ///< what is on disk now (deploy/image: tree_digest.hpp), hex
};

struct VerifyJob {
  std::uint64_t bytes_per_second = 0;  ///< 0: no limit
};

struct VerifyReport {
  bool done = false;        ///< false: progress only
  std::uint64_t bytes = 0;  ///< read so far
  std::string tree;         ///< of the whole layer, hex; when done
};

[[nodiscard]] std::string encode(const UnpackLimits& room);
[[nodiscard]] Result<UnpackLimits> decode_unpack_limits(std::string_view text);
[[nodiscard]] std::string encode(const UnpackJob& job);
[[nodiscard]] Result<UnpackJob> decode_unpack_job(std::string_view text);
[[nodiscard]] std::string encode(const Result<UnpackReport>& report);
/// A failure of the child becomes this call's failure.
[[nodiscard]] Result<UnpackReport> decode_unpack_report(std::string_view text);

[[nodiscard]] std::string encode(const VerifyJob& job);
[[nodiscard]] Result<VerifyJob> decode_verify_job(std::string_view text);
[[nodiscard]] std::string encode(const Result<VerifyReport>& report);
/// A failure of the child becomes this call's failure.
[[nodiscard]] Result<VerifyReport> decode_verify_report(std::string_view text);

}  // namespace holdfast::proto::worker
