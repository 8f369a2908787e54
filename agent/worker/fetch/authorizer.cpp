#include "agent/worker/fetch/authorizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <span>

#include "common/base/text.hpp"
#include "common/url/url.hpp"
#include "proto/json/json.hpp"

namespace holdfast::agent::worker::fetch {
namespace {

constexpr std::size_t kMaxAnswer = 1U << 20;
constexpr long kTokenSeconds = 60;

std::string basic(const Credentials& credentials) {
  const std::string pair = credentials.user + ":" + credentials.password;
  return "Basic " + to_base64(std::as_bytes(std::span{pair}));
}

std::string parameter(const Challenge& challenge, const std::string& name) {
  const auto it = challenge.parameters.find(name);
  return it == challenge.parameters.end() ? std::string{} : it->second;
}

/// "https://registry.example.com:443" → "registry.example.com".
std::string_view host_in(std::string_view origin) {
  return origin.substr(origin.find("//") + 2, origin.rfind(':') - origin.find("//") - 2);
}

/// What goes for all registries of a provider: its registries have their tokens from these hosts.
/// Patterns with at most one star. As the providers' registries answered in November 2026.
struct Provider {
  std::string_view registry;
  std::string_view tokens;
};
constexpr std::array kProviders{
    Provider{"registry-1.docker.io", "auth.docker.io"},
    Provider{"registry.gitlab.com", "gitlab.com"},
    Provider{"registry.digitalocean.com", "api.digitalocean.com"},
    Provider{"rg.*.scw.cloud", "api.scaleway.com"},
    Provider{"*.aliyuncs.com", "dockerauth*.aliyuncs.com"},
};

bool covers(std::string_view pattern, std::string_view host) {
  const auto star = pattern.find('*');
  if (star == std::string_view::npos) return host == pattern;
  return host.size() >= pattern.size() - 1 && host.starts_with(pattern.substr(0, star)) &&
         host.ends_with(pattern.substr(star + 1));
}

/// Both by https at its own port: nothing else is a provider's.
bool is_known_pair(std::string_view registry, std::string_view realm) {
  const auto usual = [](std::string_view origin) {
    return origin.starts_with("https:") && origin.ends_with(":443");
  };
  return usual(registry) && usual(realm) &&
         std::any_of(kProviders.begin(), kProviders.end(), [&](const Provider& provider) {
           return covers(provider.registry, host_in(registry)) &&
                  covers(provider.tokens, host_in(realm));
         });
}

}  // namespace

Authorizer::Authorizer(Realm realm, Credentials credentials, const Clock& clock)
    : realm_(std::move(realm)), credentials_(std::move(credentials)), clock_(clock) {
  if (!credentials_.bearer_token.empty()) header_ = "Bearer " + credentials_.bearer_token;
}

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
  if (!credentials_.bearer_token.empty())
    return Error{Errc::auth, fmt::format("{} refuses the token", host)}.hint(
        "put a valid one into the file that `token_file` names in agent.yaml");
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
  if (host_in(realm) == host_in(registry) || is_known_pair(registry, realm)) return ok();
  if (realm_.token_servers.contains(realm)) return ok();
  return Error{Errc::auth, fmt::format("the registry wants the login sent to another host, {}",
                                       net::host_of(url))}
      .hint(fmt::format("if that is its token server, say so in agent.yaml: registries: "
                        "{{\"{}\": {{token_servers: [\"{}\"]}}}}; it is asked over https",
                        net::host_of(realm_.base), net::host_of(url)));
}

Result<std::string> Authorizer::token(const Challenge& challenge, net::HttpClient& http) {
  const std::string realm = parameter(challenge, "realm");
  const std::string service = parameter(challenge, "service");
  std::string scope = parameter(challenge, "scope");
  if (scope.empty()) scope = realm_.scope;
  const auto form = [&](const std::string& grant) {
    return fmt::format("{}&service={}&scope={}&client_id=holdfast", grant, url::encode(service),
                       url::encode(scope));
  };
  if (!credentials_.identity_token.empty()) {
    HF_ASSIGN(const auto answer, post(realm,
                                      form("grant_type=refresh_token&refresh_token=" +
                                           url::encode(credentials_.identity_token)),
                                      http));
    return token_in(answer);
  }
  std::string url = realm + (realm.find('?') == std::string::npos ? "?" : "&") +
                    "service=" + url::encode(service);
  for (const auto one : split(scope, ' ')) {
    if (!one.empty()) url += "&scope=" + url::encode(one);
  }
  HF_ASSIGN(auto answer, get(url, http));
  // A server that knows only the newer way, which takes forms.
  if ((answer.status == 404 || answer.status == 405) && !credentials_.user.empty()) {
    HF_ASSIGN(answer, post(realm,
                           form("grant_type=password&username=" + url::encode(credentials_.user) +
                                "&password=" + url::encode(credentials_.password)),
                           http));
  }
  return token_in(answer);
}

/// What belongs to the registry's own origin goes there only; where a login may go was checked.
Result<net::HttpRequest> Authorizer::request_to(const std::string& url) const {
  HF_TRY(check_realm(url));
  HF_ASSIGN(const std::string there, net::origin_of(url));
  HF_ASSIGN(const std::string home, net::origin_of(realm_.base));
  net::HttpRequest request;
  request.url = url;
  request.allow_http = realm_.allow_http && host_in(there) == host_in(home);
  const auto listed = realm_.token_servers.find(there);
  if (listed != realm_.token_servers.end()) {
    request.ca_pem = listed->second;
  } else if (host_in(there) == host_in(home)) {
    request.ca_pem = realm_.ca_pem;
  }
  request.proxy = net::proxy_for(realm_.proxy, url);
  request.accept_address = realm_.accept_address;
  request.total_seconds = kTokenSeconds;
  if (there == home) {
    request.client_certificate_pem = realm_.client_certificate_pem;
    request.client_key_pem = realm_.client_key_pem;
  }
  return request;
}

Result<Authorizer::Answer> Authorizer::get(const std::string& url, net::HttpClient& http) const {
  HF_ASSIGN(auto request, request_to(url));
  if (!credentials_.user.empty())
    request.headers.push_back("Authorization: " + basic(credentials_));
  return follow(std::move(request), http);
}

Result<Authorizer::Answer> Authorizer::post(const std::string& url, const std::string& form,
                                            net::HttpClient& http) const {
  HF_ASSIGN(auto request, request_to(url));
  request.post = form;
  return follow(std::move(request), http);
}

/// Redirects lead where the first request might have gone, and nowhere else: the login goes along.
Result<Authorizer::Answer> Authorizer::follow(net::HttpRequest request,
                                              net::HttpClient& http) const {
  for (int redirects = 0;; ++redirects) {
    std::string body;
    HF_ASSIGN(
        const auto head,
        http.perform(request, [&](const net::HttpHead&, std::span<const char> data) -> Status {
          if (body.size() + data.size() > kMaxAnswer)
            return Error{Errc::auth, "the answer of the token server is too large"};
          body.append(data.data(), data.size());
          return ok();
        }));
    const std::string host = net::host_of(request.url);
    // Of those, only two promise that a form is sent again.
    const bool again = request.post.empty() || head.status == 307 || head.status == 308;
    if (!net::is_redirect(head.status) || head.location.empty() || !again)
      return Answer{.status = head.status, .host = host, .body = std::move(body)};
    if (redirects == net::kMaxRedirects)
      return Error{Errc::auth,
                   fmt::format("more than {} redirects, the last at {}", net::kMaxRedirects, host)};
    HF_ASSIGN(const auto url, net::resolve_url(request.url, head.location));
    HF_ASSIGN(auto next, request_to(url));
    next.post = std::move(request.post);
    next.headers = std::move(request.headers);
    request = std::move(next);
  }
}

Result<std::string> Authorizer::token_in(const Answer& answer) {
  const auto& host = answer.host;
  if (answer.status == 401 || answer.status == 403)
    return Error{Errc::auth, fmt::format("{} refuses the login", host)}.hint(
        "check the user and password for this registry");
  if (answer.status != 200)
    return Error{Errc::auth, fmt::format("{} answers {}", host, answer.status)};
  HF_ASSIGN(const boost::json::value value, proto::json::parse(answer.body, Errc::auth));
  if (!value.is_object()) return Error{Errc::auth, fmt::format("{} answers without a token", host)};
  const auto& object = value.as_object();
  for (const char* key : {"token", "access_token"}) {
    const auto* text = object.if_contains(key);
    if (text == nullptr || !text->is_string() || text->as_string().empty()) continue;
    std::int64_t seconds = 60;
    if (const auto* life = object.if_contains("expires_in"); life != nullptr && life->is_int64())
      seconds = life->as_int64();
    seconds = std::clamp<std::int64_t>(seconds, 60, 3600);
    expires_ = true;
    renew_at_ = clock_.boot() + std::chrono::seconds{seconds * 4 / 5};
    std::string token{text->as_string()};
    if (token.find_first_of("\r\n") != std::string::npos)
      return Error{Errc::auth, fmt::format("{} answers with a malformed token", host)};
    return token;
  }
  return Error{Errc::auth, fmt::format("{} answers without a token", host)};
}

}  // namespace holdfast::agent::worker::fetch
