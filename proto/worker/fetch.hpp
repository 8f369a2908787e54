#pragma once
/// \file
/// What the daemon says to a child that fetches, and what the child says back: `holdfast-fetch`
/// from the network, `holdfast-worker archive` from one file. One child serves many requests at a
/// time, short documents and long streams alike, each within limits of its own. Messages are JSON
/// objects on a SOCK_SEQPACKET socket: one FetchSetup, then FetchRequests with descriptors. Nothing
/// that a child says is believed beyond its form; who uses the bytes checks them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"

namespace holdfast::proto::worker {

inline constexpr int kFetchControl = 3;  ///< the socket
/// Of `holdfast-fetch`: a word of memory that all fetching children of an agent share, which says
/// until when (microseconds since boot) the line is taken. A child that lies about it gains
/// bandwidth or slows others down, nothing else.
inline constexpr int kFetchBandwidth = 4;
inline constexpr int kBandwidthBytes = 8;  ///< of that memory
inline constexpr int kArchiveFile = 4;     ///< of `holdfast-worker archive`

inline constexpr std::size_t kMaxMessageBytes = 64U << 10;

/// Another host that may see an endpoint's login, over https only.
struct TokenServer {
  std::string host;                   ///< "auth.example.com:8443"
  std::vector<std::string> ca_files;  ///< PEM, in place of the system's
};

/// One place that answers requests. Files are read before privileges are dropped.
struct FetchEndpoint {
  std::string base;      ///< "https://registry.example.com"; a request's path comes after it
  std::string api_path;  ///< "/v2/proxy": comes in place of a path's leading "/v2"; empty: nothing
  std::string query;     ///< added to each of its URLs: "ns=registry.example.com"; empty: none
  std::string token_scope;  ///< to ask for where it wants a token and names no scope itself:
                            ///< "repository:shop/web:pull"
  std::string user;         ///< empty: anonymous
  std::string password;
  std::string identity_token;         ///< in place of both
  std::string bearer_token;           ///< sent with each request, to this origin only; empty: none
  std::vector<std::string> ca_files;  ///< PEM, in place of the system's
  std::string client_certificate;     ///< PEM; empty: none
  std::string client_key;
  std::string http_proxy;  ///< URL, perhaps with a login; empty: none
  std::string https_proxy;
  std::vector<std::string> no_proxy;  ///< hosts, domains, networks that are reached directly
  std::vector<TokenServer> token_servers;
};

/// All that a child may turn to by itself; sent once, before any request.
struct FetchSetup {
  std::vector<FetchEndpoint> endpoints;  ///< of the same content: tried in order
  std::uint64_t bytes_per_second = 0;    ///< of all fetching children together; 0: no limit
};

enum class FetchMethod : std::uint8_t { get, head };

/// What one request may cost and where it may lead.
struct FetchLimits {
  std::uint64_t bytes = 0;           ///< most of the body
  std::uint32_t answer_seconds = 0;  ///< for one answer, body included; 0: as long as it moves
  std::uint32_t total_seconds =
      0;  ///< for all endpoints, tries and waits; 0: as long as that takes
  /// "host" or "host:port" to which it may be redirected, besides the endpoints; empty: wherever
  /// packaging/doc/security.md allows.
  std::vector<std::string> hosts;
};

/// With the message come two descriptors: where the body goes, and where FetchReports go; perhaps a
/// third: the file that holds the first `have` bytes of the body and takes the rest as they come,
/// so that a later child can go on.
struct FetchRequest {
  FetchMethod method = FetchMethod::get;
  /// "/v2/shop/web/manifests/sha256:…": at the endpoints, in order. Or a whole URL below one of
  /// them: there only.
  std::string url;
  std::vector<std::string> headers;  ///< "Accept: text/plain"
  std::string subject;               ///< what it is, for messages: "shop/web@sha256:…"
  FetchLimits limits;
  std::uint64_t size = 0;            ///< of the body, exactly; 0: not known
  std::uint32_t skip_endpoints = 0;  ///< of the first, which gave wrong bytes
  std::uint64_t have = 0;            ///< bytes in the third descriptor
};

struct FetchReport {
  bool done = false;         ///< false: progress only
  std::uint64_t bytes = 0;   ///< of the body so far
  std::uint32_t status = 0;  ///< of HTTP: 200, 206, or 304 where a header asked for that
  std::uint64_t length = 0;  ///< of the whole body, as the server says; 0: it does not
  std::string content_type;
  std::string etag;      ///< of the whole body; empty: the server says none
  std::string endpoint;  ///< host that answered, for messages
  std::uint32_t endpoint_index = 0;
  std::uint32_t endpoints = 1;
};

[[nodiscard]] std::string encode(const FetchSetup& setup);
/// Errors: usage (form, nowhere to fetch from).
[[nodiscard]] Result<FetchSetup> decode_fetch_setup(std::string_view text);
[[nodiscard]] std::string encode(const FetchRequest& request);
/// Errors: usage (form; a header with a line end).
[[nodiscard]] Result<FetchRequest> decode_fetch_request(std::string_view text);
[[nodiscard]] std::string encode(const Result<FetchReport>& report);
/// A failure of the child becomes this call's failure.
[[nodiscard]] Result<FetchReport> decode_fetch_report(std::string_view text);

}  // namespace holdfast::proto::worker
