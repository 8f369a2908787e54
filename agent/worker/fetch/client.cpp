#include "agent/worker/fetch/client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "common/base/text.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"

namespace holdfast::agent::worker::fetch {
namespace {

namespace wire = proto::worker;

constexpr int kTries = 5;
constexpr int kConnectTries = 3;
constexpr Milliseconds kMaxPatience{60'000};
constexpr Milliseconds kFirstPause{500};
constexpr Milliseconds kMaxRetryAfter{300'000};
constexpr std::size_t kShownErrorBytes = 512;
constexpr std::size_t kLongestEtag = 256;

bool transient(Errc code) {
  return code == Errc::unreachable || code == Errc::net_timeout || code == Errc::net_slow ||
         code == Errc::registry || code == Errc::rate_limited;
}

/// "bytes 100-199/200" → {100, 200}.
std::optional<std::pair<std::uint64_t, std::uint64_t>> content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const auto dash = text.find('-');
  const auto slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash)
    return std::nullopt;
  const auto start = parse_number(text.substr(0, dash));
  const auto total = parse_number(text.substr(slash + 1));
  if (!start || !total) return std::nullopt;
  return std::pair{*start, *total};
}

bool refers_to(const wire::FetchRequest& request, const Endpoint& endpoint) {
  return request.url.starts_with('/') || request.url.starts_with(endpoint.base + "/");
}

std::string url_at(const wire::FetchRequest& request, const Endpoint& endpoint) {
  constexpr std::string_view kVersion = "/v2";
  auto url = request.url;
  if (url.starts_with('/')) {
    if (!endpoint.api_path.empty() && url.starts_with(kVersion))
      url = endpoint.api_path + url.substr(kVersion.size());
    url = endpoint.base + url;
  }
  if (endpoint.query.empty()) return url;
  return url + (url.find('?') == std::string::npos ? "?" : "&") + endpoint.query;
}

/// An entity tag that can be sent back (RFC 9110, 8.8.3); empty: there is none to go by.
std::string usable_etag(const std::string& etag) {
  const bool plain =
      std::all_of(etag.begin(), etag.end(), [](char c) { return c > ' ' && c < 127; });
  return plain && etag.size() <= kLongestEtag ? etag : std::string{};
}

/// Where a redirect leads, if one may go there.
Result<std::string> next_hop(const std::string& url, const net::HttpHead& head,
                             const Endpoint& endpoint, const wire::FetchLimits& limits) {
  const auto refuse = [&](const std::string& what) {
    return Error{Errc::redirect, fmt::format("{} redirects to {}", net::host_of(url), what)};
  };
  if (head.location.empty()) return refuse("nowhere");
  HF_ASSIGN(std::string next, net::resolve_url(url, head.location));
  if (!next.starts_with("https://") && !next.starts_with("http://"))
    return refuse("something that is not HTTP");
  const auto host = net::host_of(next);
  if (url.starts_with("https://") && !next.starts_with("https://"))
    return refuse(host + " without TLS");
  const bool listed =
      limits.hosts.empty() || host == net::host_of(endpoint.base) ||
      std::find(limits.hosts.begin(), limits.hosts.end(), host) != limits.hosts.end();
  if (!listed) return refuse(host + ", which this request may not reach");
  return next;
}

Error out_of_time(const wire::FetchRequest& request, const std::string& host) {
  return Error{Errc::net_timeout, fmt::format("{} at {} takes longer than {} s", request.subject,
                                              host, request.limits.total_seconds)};
}

}  // namespace

struct Client::Object {
  const wire::FetchRequest& request;
  std::uint64_t delivered = 0;  ///< bytes the receiver has
  bool use_range = true;        ///< off after a false answer to a Range
  std::string content_type;
  std::string etag;
  std::string error_body;
  std::optional<Milliseconds> retry_after;
  std::uint32_t status = 0;
  std::uint64_t length = 0;
  std::optional<BootTime> deadline;  ///< of the whole request
  bool is_final = false;             ///< asking again would change nothing
};

/// One answer under way.
struct Client::Hop {
  std::uint64_t asked_from = 0;
  std::uint64_t position = 0;  ///< offset in the object of the next byte of this answer
  bool begun = false;
};

namespace {

constexpr std::size_t kMaxPem = 4U << 20;

Result<std::string> read_pems(const std::vector<std::string>& files) {
  std::string all;
  for (const auto& file : files) {
    HF_ASSIGN(const std::string pem, os::read_file(file, kMaxPem));
    all += pem + "\n";
  }
  return all;
}

Result<Endpoint> endpoint_of(const wire::FetchEndpoint& from, const Clock& clock) {
  if (!from.base.starts_with("http://") && !from.base.starts_with("https://"))
    return Error{Errc::usage,
                 fmt::format("{} must begin with http:// or https://", printable(from.base))};
  Endpoint endpoint;
  endpoint.base = from.base;
  endpoint.api_path = from.api_path;
  endpoint.query = from.query;
  while (endpoint.base.ends_with('/')) endpoint.base.pop_back();
  HF_ASSIGN(endpoint.ca_pem, read_pems(from.ca_files));
  if (!from.client_certificate.empty()) {
    HF_ASSIGN(endpoint.client_certificate_pem, os::read_file(from.client_certificate, kMaxPem));
    HF_ASSIGN(endpoint.client_key_pem, os::read_file(from.client_key, kMaxPem));
  }
  endpoint.proxy = {from.http_proxy, from.https_proxy, from.no_proxy};
  Realm realm{.base = endpoint.base,
              .scope = from.token_scope,
              .ca_pem = endpoint.ca_pem,
              .client_certificate_pem = endpoint.client_certificate_pem,
              .client_key_pem = endpoint.client_key_pem,
              .allow_http = endpoint.base.starts_with("http:"),
              .proxy = endpoint.proxy,
              .token_servers = {}};
  for (const auto& server : from.token_servers) {
    HF_ASSIGN(const auto origin, net::origin_of("https://" + server.host));
    HF_ASSIGN(const auto pem, read_pems(server.ca_files));
    realm.token_servers.emplace(origin, pem);
  }
  endpoint.authorizer = std::make_unique<Authorizer>(
      std::move(realm),
      Credentials{from.user, from.password, from.identity_token, from.bearer_token}, clock);
  return endpoint;
}

}  // namespace

Result<std::vector<Endpoint>> endpoints_of(const wire::FetchSetup& setup, const Clock& clock) {
  std::vector<Endpoint> out;
  for (const auto& from : setup.endpoints) {
    HF_ASSIGN(auto endpoint, endpoint_of(from, clock));
    out.push_back(std::move(endpoint));
  }
  return out;
}

Client::Client(const std::vector<Endpoint>& endpoints, const Clock& clock)
    : endpoints_(endpoints), clock_(clock) {}

Result<wire::FetchReport> Client::fetch(const wire::FetchRequest& request,
                                        const Receiver& receive) {
  Object object{.request = request, .delivered = request.have};
  if (request.limits.total_seconds > 0)
    object.deadline = clock_.boot() + std::chrono::seconds{request.limits.total_seconds};
  if (request.size > 0 && request.have == request.size)
    return wire::FetchReport{.done = true,
                             .bytes = request.have,
                             .content_type = {},
                             .endpoint = "an earlier download",
                             .endpoint_index = request.skip_endpoints,
                             .endpoints = static_cast<std::uint32_t>(endpoints_.size())};
  std::optional<Error> last;
  for (std::size_t i = std::min<std::size_t>(request.skip_endpoints, endpoints_.size() - 1);
       i < endpoints_.size(); ++i) {
    const auto& endpoint = endpoints_[i];
    if (!refers_to(request, endpoint)) continue;
    auto done = try_endpoint(endpoint, object, receive);
    if (done)
      return wire::FetchReport{.done = true,
                               .bytes = object.delivered,
                               .status = object.status,
                               .length = object.length,
                               .content_type = object.content_type,
                               .etag = object.etag,
                               .endpoint = net::host_of(endpoint.base),
                               .endpoint_index = static_cast<std::uint32_t>(i),
                               .endpoints = static_cast<std::uint32_t>(endpoints_.size())};
    last = std::move(done).error();
    const bool late = object.deadline && clock_.boot() >= *object.deadline;
    if (last->code() == Errc::cancelled || late) break;
  }
  if (last) return *std::move(last);
  return Error{Errc::usage, fmt::format("{} lies at none of the places that may be asked",
                                        net::host_of(request.url))};
}

Status Client::try_endpoint(const Endpoint& endpoint, Object& object, const Receiver& receive) {
  BootTime patience = clock_.boot() + kMaxPatience;
  Milliseconds pause = kFirstPause;
  for (int attempt = 1;; ++attempt) {
    const std::uint64_t before = object.delivered;
    object.retry_after.reset();
    object.is_final = false;  // what another endpoint answered says nothing of this one
    object.error_body.clear();
    auto answer = once(endpoint, object, receive);
    Status outcome = answer ? judge(*answer, object, endpoint) : Status{std::move(answer).error()};
    if (outcome) return ok();
    if (object.is_final || !transient(outcome.error().code())) return outcome;
    if (object.delivered > before) {  // it moves: patience is for those who do not
      attempt = 1;
      pause = kFirstPause;
      patience = clock_.boot() + kMaxPatience;
    }
    const int tries = outcome.error().code() == Errc::unreachable && object.delivered == 0
                          ? kConnectTries
                          : kTries;
    if (object.retry_after && *object.retry_after > kMaxRetryAfter)
      return Error{Errc::rate_limited,
                   fmt::format("{} asks to come back only in {}", net::host_of(endpoint.base),
                               human_duration(*object.retry_after))};
    if (attempt >= tries) return outcome;
    const Milliseconds jitter{clock_.boot().time_since_epoch().count() / 1000 %
                                  (pause.count() * 3 / 5) -
                              pause.count() * 3 / 10};
    const BootTime next = clock_.boot() + object.retry_after.value_or(pause + jitter);
    if (object.deadline && next >= *object.deadline) return outcome;
    if (!object.retry_after && object.delivered == before && next > patience) return outcome;
    (void)os::sleep_until(next, {});
    pause *= 2;
  }
}

Result<net::HttpHead> Client::once(const Endpoint& endpoint, Object& object,
                                   const Receiver& receive) {
  std::string authorization = endpoint.authorizer->current();
  HF_ASSIGN(auto head, follow(endpoint, object, receive, authorization));
  if (head.status != 401) return head;
  HF_ASSIGN(authorization, endpoint.authorizer->answer(head.challenges, authorization, http_));
  object.error_body.clear();
  return follow(endpoint, object, receive, authorization);
}

/// The request for one hop, with what belongs to its origin: `authorization` is for that.
Result<net::HttpRequest> Client::ask_at(const std::string& url, const Endpoint& endpoint,
                                        const Object& object, const std::string& authorization) {
  HF_ASSIGN(const std::string home, net::origin_of(endpoint.base));
  HF_ASSIGN(const std::string origin, net::origin_of(url));
  net::HttpRequest http;
  http.method = object.request.method == wire::FetchMethod::head ? net::HttpMethod::head
                                                                 : net::HttpMethod::get;
  http.url = url;
  http.allow_http = home.starts_with("http:");
  http.ca_pem = endpoint.ca_pem;
  http.proxy = net::proxy_for(endpoint.proxy, url);
  // A proxy looks up names itself: of what it would reach only addresses can be judged here.
  const auto literal = net::reach_of_literal(
      origin.substr(origin.find("://") + 3, origin.rfind(':') - origin.find("://") - 3));
  if (!http.proxy.empty() && origin != home && literal && *literal != net::Reach::public_)
    return Error{Errc::ssrf, fmt::format("{} redirects to {}, an address inside this network",
                                         net::host_of(home), net::host_of(url))};
  const auto& limits = object.request.limits;
  http.total_seconds = limits.answer_seconds;
  if (object.deadline) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(*object.deadline - clock_.boot());
    if (left.count() <= 0) return out_of_time(object.request, net::host_of(url));
    if (http.total_seconds == 0 || http.total_seconds > left.count())
      http.total_seconds = left.count();
  }
  http.headers = object.request.headers;
  http.headers.emplace_back("Accept-Encoding: identity");
  if (object.delivered > 0 && object.use_range)
    http.headers.push_back(fmt::format("Range: bytes={}-", object.delivered));
  if (origin == home) {
    http.client_certificate_pem = endpoint.client_certificate_pem;
    http.client_key_pem = endpoint.client_key_pem;
  }
  if (!authorization.empty()) http.headers.push_back("Authorization: " + authorization);
  http.accept_address = [this, home, at_home = origin == home](net::Reach reach) {
    if (at_home) home_reach_[home] = reach;
    return at_home || reach == net::Reach::public_ || reach == home_reach_[home];
  };
  return http;
}

/// Who answers for `origin`, to which an endpoint sent us: another registry, perhaps, that gives
/// anybody a token. It is told nothing of the endpoint's login.
Authorizer& Client::stranger(const std::string& origin, const Endpoint& endpoint,
                             const net::HttpRequest& http) {
  auto& known = strangers_[origin];
  if (!known)
    known = std::make_unique<Authorizer>(Realm{.base = origin,
                                               .scope = {},
                                               .ca_pem = endpoint.ca_pem,
                                               .allow_http = http.allow_http,
                                               .proxy = endpoint.proxy,
                                               .accept_address = http.accept_address},
                                         Credentials{}, clock_);
  return *known;
}

Result<net::HttpHead> Client::follow(const Endpoint& endpoint, Object& object,
                                     const Receiver& receive, const std::string& authorization) {
  std::string url = url_at(object.request, endpoint);
  HF_ASSIGN(const std::string home, net::origin_of(endpoint.base));
  std::string theirs;  // the token of the place where we were sent
  for (int redirects = 0;;) {
    HF_ASSIGN(const std::string origin, net::origin_of(url));
    HF_ASSIGN(const auto http,
              ask_at(url, endpoint, object, origin == home ? authorization : theirs));
    Hop hop{.asked_from = object.use_range ? object.delivered : 0};
    HF_ASSIGN(auto head,
              http_.perform(http, [&](const net::HttpHead& h, std::span<const char> data) {
                return take(h, data, object, hop, receive);
              }));
    if (head.status == 401 && origin != home) {
      if (!theirs.empty())
        return Error{Errc::auth, fmt::format("{} redirects to {}, which wants a login",
                                             net::host_of(home), net::host_of(url))};
      auto& other = stranger(origin, endpoint, http);
      HF_ASSIGN(theirs, other.answer(head.challenges, other.current(), http_));
      object.error_body.clear();
      continue;
    }
    if (!net::is_redirect(head.status)) return head;
    if (redirects++ == net::kMaxRedirects)
      return Error{Errc::redirect, fmt::format("more than {} redirects, the last at {}",
                                               net::kMaxRedirects, net::host_of(url))};
    HF_ASSIGN(url, next_hop(url, head, endpoint, object.request.limits));
    theirs.clear();
  }
}

Status Client::take(const net::HttpHead& head, std::span<const char> data, Object& object, Hop& hop,
                    const Receiver& receive) const {
  const auto& request = object.request;
  if (head.status != 200 && head.status != 206) {
    const std::size_t room =
        kShownErrorBytes - std::min(kShownErrorBytes, object.error_body.size());
    object.error_body.append(data.data(), std::min(room, data.size()));
    return ok();
  }
  if (!hop.begun) {
    hop.begun = true;
    if (!head.content_encoding.empty() && head.content_encoding != "identity")
      return Error{Errc::registry, fmt::format("the server encodes the object as {}",
                                               printable(head.content_encoding))};
    if (head.status == 206) {
      const auto range = content_range(head.content_range);
      if (!range || range->first != hop.asked_from ||
          (request.size > 0 && range->second != request.size)) {
        object.use_range = false;
        return Error{Errc::registry,
                     fmt::format("false answer to a range: {}", printable(head.content_range))};
      }
      hop.position = range->first;
    } else if (request.size > 0 && head.content_length && *head.content_length != request.size) {
      return Error{Errc::size_mismatch, fmt::format("the server has {} bytes, {} are declared",
                                                    *head.content_length, request.size)};
    }
    object.content_type = head.content_type;
  }
  // An answer from the start although we asked for the rest: what we have already is dropped.
  const auto skip = static_cast<std::size_t>(std::min<std::uint64_t>(
      data.size(), object.delivered - std::min(object.delivered, hop.position)));
  hop.position += data.size();
  if (hop.position > request.limits.bytes) {
    if (request.size > 0)
      return Error{Errc::size_mismatch,
                   fmt::format("the server sends more than the {} bytes declared", request.size)};
    return Error{Errc::size_mismatch,
                 fmt::format("the document is larger than {}", human_bytes(request.limits.bytes))};
  }
  data = data.subspan(skip);
  if (data.empty()) return ok();
  HF_TRY(receive(data));
  object.delivered += data.size();
  return ok();
}

Status Client::judge(const net::HttpHead& head, Object& object, const Endpoint& endpoint) const {
  const auto& request = object.request;
  const std::string host = net::host_of(endpoint.base);
  const std::string what = fmt::format("{}/{}", host, request.subject);
  const std::string said =
      object.error_body.empty() ? "" : ": " + printable(trim(object.error_body));
  object.status = static_cast<std::uint32_t>(head.status);
  if (head.status == 200 || head.status == 206 || head.status == 304) {
    object.content_type = head.content_type;
    object.etag = usable_etag(head.etag);
    if (head.status != 206) object.length = head.content_length.value_or(0);
    const bool whole = request.method == wire::FetchMethod::head || head.status == 304 ||
                       object.delivered >= request.size;
    if (whole) return ok();
    return Error{Errc::unreachable, fmt::format("{} ended after {} of {} bytes", what,
                                                object.delivered, request.size)};
  }
  if (head.retry_after)
    object.retry_after = std::min(*head.retry_after, std::chrono::seconds{1U << 30});
  switch (head.status) {
    case 401:
    case 403:
      return Error{Errc::auth, fmt::format("{} refuses access to {} ({}){}", host, request.subject,
                                           head.status, said)}
          .hint(fmt::format("check what the login for {} may read there", host));
    case 404:
    case 410:
      return Error{Errc::not_found, fmt::format("{} does not exist there{}", what, said)};
    case 429:
      return Error{Errc::rate_limited, fmt::format("{} limits the rate of requests", host)};
    case 408:
    case 425:
    case 500:
    case 502:
    case 503:
    case 504:
      return Error{Errc::registry, fmt::format("{} answers {}{}", host, head.status, said)}.hint(
          fmt::format("see the log of {}", host));
    case 416:
      return Error{Errc::size_mismatch, fmt::format("{} is shorter there than declared", what)};
    default:
      object.is_final = true;
      return Error{Errc::registry,
                   fmt::format("{}: unexpected answer {}{}", what, head.status, said)};
  }
}

}  // namespace holdfast::agent::worker::fetch
