#include "agent/worker/fetch/authorizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <span>

#include "common/base/text.hpp"
#include "proto/json/json.hpp"

namespace holdfast::agent::worker::fetch {
namespace {

constexpr std::size_t kMaxAnswer = 1U << 20;
constexpr long kTokenSeconds = 60;

std::string url_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out.push_back(c);
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string basic(const Credentials& credentials) {
  const std::string pair = credentials.user + ":" + credentials.password;
  return "Basic " + to_base64(std::as_bytes(std::span{pair}));
}

std::string parameter(const Challenge& challenge, const std::string& name) {
  const auto it = challenge.parameters.find(name);
  return it == challenge.parameters.end() ? std::string{} : it->second;
}

std::string_view without_port(std::string_view origin) {
  return origin.substr(0, origin.rfind(':'));
}

}  // namespace

Authorizer::Authorizer(Realm realm, Credentials credentials, const Clock& clock)
    : realm_(std::move(realm)), credentials_(std::move(credentials)), clock_(clock) {}

std::string Authorizer::current() {
  const std::lock_guard lock{mutex_};
  if (expires_ && clock_.boot() >= renew_at_) header_.clear();
  return header_;
}

Result<std::string> Authorizer::answer(const std::vector<std::string>& headers,
                                       const std::string& used, net::HttpClient& http) {
  std::vector<Challenge> challenges;
  for (const auto& header : headers) {
    auto some = parse_challenges(header);
    challenges.insert(challenges.end(), std::make_move_iterator(some.begin()),
                      std::make_move_iterator(some.end()));
  }
  const Challenge* challenge = preferred(challenges);
  const std::string host = net::host_of(realm_.base);
  const auto denied = [&](std::string what) {
    return Error{Errc::auth, std::move(what)}.hint(fmt::format(
        "set `credentials` for {} under `registries` in agent.yaml to a file with a valid login",
        host));
  };
  if (challenge == nullptr)
    return denied(fmt::format("{} asks for a login in no way that is known here", host));
  const std::lock_guard lock{mutex_};  // one thread renews, the others wait for it
  if (!header_.empty() && header_ != used) return header_;
  const bool anonymous = credentials_.user.empty() && credentials_.identity_token.empty();
  if (challenge->scheme == "basic") {
    if (anonymous) return denied(fmt::format("{} asks for a user and password", host));
    if (!used.empty()) return denied(fmt::format("{} refuses the user or password", host));
    expires_ = false;
    header_ = basic(credentials_);
    return header_;
  }
  auto fresh = token(*challenge, http);
  if (!fresh) return std::move(fresh).error().in("get a token for " + host);
  header_ = "Bearer " + *fresh;
  return header_;
}

Status Authorizer::check_realm(const std::string& url) const {
  HF_ASSIGN(const std::string realm, net::origin_of(url));
  HF_ASSIGN(const std::string registry, net::origin_of(realm_.base));
  if (registry.starts_with("https:") && !realm.starts_with("https:"))
    return Error{Errc::auth, fmt::format("the registry wants the login sent to {} without TLS",
                                         net::host_of(url))};
  const auto host = [](const std::string& origin) {
    const auto text = without_port(origin);
    return std::string{text.substr(text.find("//") + 2)};
  };
  const bool same = host(realm) == host(registry);
  const bool hub =
      registry == "https://registry-1.docker.io:443" && realm == "https://auth.docker.io:443";
  if (same || hub) return ok();
  return Error{Errc::auth, fmt::format("the registry wants the login sent to another host, {}",
                                       net::host_of(url))}
      .hint(
          "a registry whose token server is another host is not supported unless that host serves "
          "the registry too");
}

Result<std::string> Authorizer::token(const Challenge& challenge, net::HttpClient& http) {
  const std::string realm = parameter(challenge, "realm");
  HF_TRY(check_realm(realm));
  const std::string service = parameter(challenge, "service");
  std::string scope = parameter(challenge, "scope");
  if (scope.empty()) scope = realm_.scope;
  net::HttpRequest request;
  request.allow_http = realm_.allow_http;
  request.ca_pem = realm_.ca_pem;
  request.proxy = net::proxy_for(realm_.proxy, realm);
  HF_ASSIGN(const std::string there, net::origin_of(realm));
  HF_ASSIGN(const std::string home, net::origin_of(realm_.base));
  if (there == home) {
    request.client_certificate_pem = realm_.client_certificate_pem;
    request.client_key_pem = realm_.client_key_pem;
  }
  request.total_seconds = kTokenSeconds;
  if (!credentials_.identity_token.empty()) {
    request.url = realm;
    request.post = fmt::format(
        "grant_type=refresh_token&service={}&scope={}&client_id=holdfast&refresh_token={}",
        url_encoded(service), url_encoded(scope), url_encoded(credentials_.identity_token));
    return ask(request, http);
  }
  request.url = realm + (realm.find('?') == std::string::npos ? "?" : "&") +
                "service=" + url_encoded(service);
  for (const auto one : split(scope, ' ')) {
    if (!one.empty()) request.url += "&scope=" + url_encoded(one);
  }
  if (!credentials_.user.empty())
    request.headers.push_back("Authorization: " + basic(credentials_));
  return ask(request, http);
}

Result<std::string> Authorizer::ask(const net::HttpRequest& request, net::HttpClient& http) {
  std::string body;
  HF_ASSIGN(const auto head,
            http.perform(request, [&](const net::HttpHead&, std::span<const char> data) -> Status {
              if (body.size() + data.size() > kMaxAnswer)
                return Error{Errc::auth, "the answer of the token server is too large"};
              body.append(data.data(), data.size());
              return ok();
            }));
  const std::string host = net::host_of(request.url);
  if (head.status == 401 || head.status == 403)
    return Error{Errc::auth, fmt::format("{} refuses the login", host)}.hint(
        "check the user and password for this registry");
  if (head.status != 200) return Error{Errc::auth, fmt::format("{} answers {}", host, head.status)};
  HF_ASSIGN(const boost::json::value answer, proto::json::parse(body, Errc::auth));
  if (!answer.is_object())
    return Error{Errc::auth, fmt::format("{} answers without a token", host)};
  const auto& object = answer.as_object();
  for (const char* key : {"token", "access_token"}) {
    const auto* value = object.if_contains(key);
    if (value == nullptr || !value->is_string() || value->as_string().empty()) continue;
    std::int64_t seconds = 60;
    if (const auto* life = object.if_contains("expires_in"); life != nullptr && life->is_int64())
      seconds = life->as_int64();
    seconds = std::clamp<std::int64_t>(seconds, 60, 3600);
    expires_ = true;
    renew_at_ = clock_.boot() + std::chrono::seconds{seconds * 4 / 5};
    std::string text{value->as_string()};
    if (text.find_first_of("\r\n") != std::string::npos)
      return Error{Errc::auth, fmt::format("{} answers with a malformed token", host)};
    return text;
  }
  return Error{Errc::auth, fmt::format("{} answers without a token", host)};
}

}  // namespace holdfast::agent::worker::fetch
