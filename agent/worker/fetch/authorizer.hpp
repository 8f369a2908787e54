#pragma once
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "agent/worker/fetch/challenge.hpp"
#include "common/base/clock.hpp"
#include "common/base/result.hpp"
#include "common/net/http_client.hpp"
#include "common/net/proxy.hpp"

namespace holdfast::agent::worker::fetch {

/// What a registry and its token servers may be told about us. Never sent to any other origin.
struct Credentials {
  std::string user;
  std::string password;
  std::string identity_token;  ///< in place of both
  std::string bearer_token;    ///< sent from the first request on, as it is
};

/// A registry as the token flow sees it.
struct Realm {
  std::string base;   ///< URL of the registry
  std::string scope;  ///< to ask for where the challenge names none
  std::string ca_pem;
  std::string client_certificate_pem;  ///< shown to the registry's own origin only
  std::string client_key_pem;
  bool allow_http = false;
  net::Proxy proxy;
  /// Other origins that may see the login, with their authorities; an empty text: the system's.
  std::map<std::string, std::string> token_servers = {};
  std::function<bool(net::Reach)> accept_address = {};  ///< see net::HttpRequest
};

/// Answers challenges for one registry: Basic, or a Bearer token from the realm it names
/// (packaging/doc/security.md 1.4). Thread safe; one token serves all threads and is renewed at
/// four fifths of its life or when it is refused.
class Authorizer {
 public:
  Authorizer(Realm realm, Credentials credentials, const Clock& clock);

  /// Value of the Authorization header known to work, or empty.
  [[nodiscard]] std::string current();

  /// Reacts to a 401 whose request carried `used` (may be empty). Returns the header to retry with.
  /// Errors: auth, ssrf, and those of the HTTP client.
  [[nodiscard]] Result<std::string> answer(const std::vector<std::string>& headers,
                                           const std::string& used, net::HttpClient& http);

 private:
  struct Answer {
    long status = 0;
    std::string host;
    std::string body;
  };
  Result<std::string> token(const Challenge& challenge, net::HttpClient& http);
  Status check_realm(const std::string& url) const;
  Result<net::HttpRequest> request_to(const std::string& url) const;
  Result<Answer> get(const std::string& url, net::HttpClient& http) const;
  Result<Answer> post(const std::string& url, const std::string& form, net::HttpClient& http) const;
  Result<Answer> follow(net::HttpRequest request, net::HttpClient& http) const;
  Result<std::string> token_in(const Answer& answer);

  Realm realm_;
  Credentials credentials_;
  const Clock& clock_;
  std::mutex mutex_;
  std::string header_;
  BootTime renew_at_{};
  bool expires_ = false;
};

}  // namespace holdfast::agent::worker::fetch
