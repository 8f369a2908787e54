#pragma once
/// \file
/// Answers one FetchRequest: endpoints in order, redirects in our own loop, login, retries, and
/// going on by Range where a connection broke (packaging/doc/security.md 1.2 to 1.10). Digests are
/// not checked here but where the bytes are used.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/worker/fetch/authorizer.hpp"
#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/net/http_client.hpp"
#include "common/net/proxy.hpp"
#include "proto/worker/fetch.hpp"

namespace holdfast::agent::worker::fetch {

/// One place that answers. Shared by all threads.
struct Endpoint {
  std::string base;      ///< "https://registry.example.com"
  std::string api_path;  ///< in place of "/v2"; empty: nothing
  std::string query;     ///< "ns=registry.example.com" at a mirror
  std::string ca_pem;
  std::string client_certificate_pem;
  std::string client_key_pem;
  net::Proxy proxy;
  std::unique_ptr<Authorizer> authorizer;
};

/// The endpoints of a setup; reads their certificates. Errors: usage (another scheme than http or
/// https), by errno.
[[nodiscard]] Result<std::vector<Endpoint>> endpoints_of(const proto::worker::FetchSetup& setup,
                                                         const Clock& clock);

/// Receives body bytes in order, each once. An error ends the fetch.
using Receiver = std::function<Status(std::span<const char>)>;

/// One thread's client.
class Client {
 public:
  Client(const std::vector<Endpoint>& endpoints, const Clock& clock);

  /// Errors: not_found, auth, registry, rate_limited, redirect, ssrf, size_mismatch, too_large,
  /// usage (a URL below no endpoint), net_timeout, those of the HTTP client, and
  /// the receiver's. Blocks, with waits between tries of at most a minute in all at each endpoint.
  /// The first `have` bytes of the request are taken to be received.
  [[nodiscard]] Result<proto::worker::FetchReport> fetch(const proto::worker::FetchRequest& request,
                                                         const Receiver& receive);

 private:
  /// What is known about the object while tries go on.
  struct Object;
  struct Hop;
  Status try_endpoint(const Endpoint& endpoint, Object& object, const Receiver& receive);
  Result<net::HttpHead> once(const Endpoint& endpoint, Object& object, const Receiver& receive);
  Result<net::HttpHead> follow(const Endpoint& endpoint, Object& object, const Receiver& receive,
                               const std::string& authorization);
  Result<net::HttpRequest> ask_at(const std::string& url, const Endpoint& endpoint,
                                  const Object& object, const std::string& authorization);
  Authorizer& stranger(const std::string& origin, const Endpoint& endpoint,
                       const net::HttpRequest& http);
  Status take(const net::HttpHead& head, std::span<const char> data, Object& object, Hop& hop,
              const Receiver& receive) const;
  Status judge(const net::HttpHead& head, Object& object, const Endpoint& endpoint) const;

  const std::vector<Endpoint>& endpoints_;
  const Clock& clock_;
  std::map<std::string, net::Reach> home_reach_;  ///< where each endpoint itself lies
  std::map<std::string, std::unique_ptr<Authorizer>> strangers_;  ///< by origin
  net::HttpClient http_;
};

}  // namespace holdfast::agent::worker::fetch
