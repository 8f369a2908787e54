#pragma once
/// \file
/// What the daemon and the confined children (holdfast-fetch, holdfast-worker) say to each other:
/// one JSON object a message. Nothing a child says is believed beyond its form; digests are
/// compared here.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "proto/digest.hpp"
#include "proto/oci/oci.hpp"

namespace holdfast::deploy::image::worker {

/// Descriptors of `holdfast-worker unpack ROOM`.
inline constexpr int kUnpackInput = 0;   ///< the compressed layer
inline constexpr int kUnpackTree = 3;    ///< the empty directory to unpack into
inline constexpr int kUnpackReport = 4;  ///< one UnpackReport, then the end
inline constexpr int kUnpackJob = 5;  ///< one UnpackJob, then the end; the end alone: nothing to do
inline constexpr int kUnpackLowers = 10;  ///< and up: trees of the layers below, lowest first

/// Descriptors of `holdfast-worker verify`.
inline constexpr int kVerifyTree = 3;    ///< the unpacked layer
inline constexpr int kVerifyReport = 4;  ///< VerifyReports, one a line; the last one is `done`

/// Descriptors of `holdfast-fetch`.
inline constexpr int kFetchControl =
    3;  ///< SOCK_SEQPACKET: FetchSetup, then FetchRequests with two or three descriptors each
inline constexpr int kArchiveFile = 4;  ///< of `holdfast-worker archive`, which talks the same way
inline constexpr int kFetchPace = 4;    ///< shared memory of all fetching children: see pace.hpp

inline constexpr std::size_t kMaxMessageBytes = 64U << 10;
inline constexpr std::size_t kMaxReportBytes = 32U << 20;

/// What an unpacker is confined by; known before the layer is.
struct UnpackRoom {
  std::uint64_t max_bytes = 0;  ///< most uncompressed bytes of any layer
  std::uint32_t lowers = 0;     ///< descriptors from kUnpackLowers on
};

struct UnpackJob {
  proto::oci::Compression compression = proto::oci::Compression::none;
  std::uint64_t size = 0;   ///< compressed bytes, exactly
  std::uint64_t space = 0;  ///< most uncompressed bytes that there is room for now
  std::uint64_t max_entries = 0;
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
  std::string tree;  ///< what is on disk now (tree_digest.hpp), hex
};

struct VerifyJob {
  std::uint64_t bytes_per_second = 0;  ///< 0: no limit
};

struct VerifyReport {
  bool done = false;        ///< false: progress only
  std::uint64_t bytes = 0;  ///< read so far
  std::string tree;         ///< of the whole layer, hex; when done
};

/// One place that serves the repository. Files are read before privileges are dropped.
struct FetchEndpoint {
  std::string base;  ///< "https://registry.example.com"
  std::string user;  ///< empty: anonymous
  std::string password;
  std::string identity_token;         ///< in place of both
  std::vector<std::string> ca_files;  ///< PEM, besides the system's
  std::string client_certificate;     ///< PEM; empty: none
  std::string client_key;
  std::string http_proxy;  ///< URL, perhaps with a login; empty: none
  std::string https_proxy;
  std::vector<std::string> no_proxy;  ///< hosts, domains, networks that are reached directly
};

/// How to reach one registry; sent once, before any request.
struct FetchSetup {
  std::string host;  ///< as in the reference
  std::string repository;
  std::vector<FetchEndpoint> endpoints;  ///< mirrors in order, the registry itself last
  std::uint64_t bytes_per_second = 0;    ///< of all fetching children together; 0: no limit
};

/// `layout` is the index.json of an archive.
enum class FetchKind : std::uint8_t { manifest, blob, layout };

/// One object. With the message come two descriptors: where the body goes, and where FetchReports
/// go; perhaps a third: the file that holds the first `have` bytes of the body and takes the rest
/// as they come, so that a later child can go on. What is in it is not believed: the digest
/// decides.
struct FetchRequest {
  FetchKind kind = FetchKind::blob;
  std::string digest;                ///< "sha256:…"
  std::uint64_t size = 0;            ///< exact; 0: unknown, at most `limit`
  std::uint64_t limit = 0;           ///< most bytes of the body
  std::uint32_t skip_endpoints = 0;  ///< mirrors that already gave wrong bytes
  std::uint64_t have = 0;            ///< bytes in the third descriptor
};

struct FetchReport {
  bool done = false;        ///< false: progress only
  std::uint64_t bytes = 0;  ///< of the body so far
  std::string content_type;
  std::string endpoint;  ///< host that answered, for messages
  std::uint32_t endpoint_index = 0;
  std::uint32_t endpoints = 1;
};

[[nodiscard]] std::string encode(const UnpackRoom& room);
[[nodiscard]] Result<UnpackRoom> decode_unpack_room(std::string_view text);
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

[[nodiscard]] std::string encode(const FetchSetup& setup);
[[nodiscard]] Result<FetchSetup> decode_fetch_setup(std::string_view text);
[[nodiscard]] std::string encode(const FetchRequest& request);
[[nodiscard]] Result<FetchRequest> decode_fetch_request(std::string_view text);
[[nodiscard]] std::string encode(const Result<FetchReport>& report);
[[nodiscard]] Result<FetchReport> decode_fetch_report(std::string_view text);

/// Paths are bytes and JSON is UTF-8: everything but printable ASCII, and '%', becomes %XX.
[[nodiscard]] std::string escape_path(std::string_view path);
[[nodiscard]] Result<std::string> unescape_path(std::string_view text);

}  // namespace holdfast::deploy::image::worker
