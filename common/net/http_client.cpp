#include "common/net/http_client.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <cstring>

#include "common/base/text.hpp"
#include "common/net/address.hpp"

namespace holdfast::net {
namespace {

constexpr std::size_t kMaxHeaders = 100;
constexpr std::size_t kMaxHeaderBytes = 64U << 10;
constexpr long kBufferBytes = 256L << 10;

std::string lower(std::string_view text) {
  std::string out{text};
  for (auto& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// One transfer under way, as curl's callbacks see it.
struct Transfer {
  const HttpRequest& request;
  const BodySink& sink;
  HttpHead head;
  std::optional<Error> error;
  std::size_t headers = 0;
  std::size_t header_bytes = 0;
  bool refused_address = false;
};

void take_header(HttpHead& head, std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = lower(trim(line.substr(0, colon)));
  const std::string value{trim(line.substr(colon + 1))};
  if (name == "content-type") head.content_type = value;
  if (name == "content-encoding") head.content_encoding = value;
  if (name == "content-range") head.content_range = value;
  if (name == "location") head.location = value;
  if (name == "etag") head.etag = value;
  if (name == "www-authenticate") head.challenges.push_back(value);
  if (name == "content-length") {
    if (auto number = parse_number(value)) head.content_length = *number;
  }
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  const std::string_view line{data, size * count};
  if (line.starts_with("HTTP/")) {  // after a 100 or a proxy's answer the real head follows
    transfer.head = {};
    transfer.headers = 0;
    const auto space = line.find(' ');
    if (space != std::string_view::npos)
      transfer.head.status = std::strtol(data + space, nullptr, 10);
    return line.size();
  }
  transfer.header_bytes += line.size();
  if (++transfer.headers > kMaxHeaders + 1 || transfer.header_bytes > kMaxHeaderBytes) {
    transfer.error = Error{Errc::too_large, "the answer has too many headers"};
    return 0;
  }
  take_header(transfer.head, line);
  return line.size();
}

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  auto taken = transfer.sink(transfer.head, std::span{data, size * count});
  if (taken) return size * count;
  transfer.error = std::move(taken).error();
  return 0;
}

curl_socket_t on_open(void* user, curlsocktype purpose, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (purpose != CURLSOCKTYPE_IPCXN) return CURL_SOCKET_BAD;
  if (transfer.request.proxy.empty() && transfer.request.accept_address &&
      !transfer.request.accept_address(reach_of(address->addr))) {
    transfer.refused_address = true;
    return CURL_SOCKET_BAD;
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/// Who reads this should not have to know OpenSSL: four causes that call for four different steps.
Error tls_failure(CURLcode code, const std::string& host, const std::string& text, long verdict) {
  constexpr long kNoVerdict = 1;    // the chain was in order, or nobody came to look at it
  constexpr long kNotYetValid = 9;  // X509_V_ERR_*: openssl-verification-options(1)
  constexpr long kHasExpired = 10;
  const auto error = [&](std::string_view what) {
    return Error{Errc::tls, fmt::format("TLS with {} failed: {} ({})", host, what, text)};
  };
  if (verdict == kHasExpired)
    return error("its certificate has expired")
        .hint("renew it there; check the clock of this host");
  if (verdict == kNotYetValid)
    return error("its certificate is not valid yet").hint("check the clock of this host");
  if (code == CURLE_PEER_FAILED_VERIFICATION && verdict <= kNoVerdict)
    return error("its certificate is for another name")
        .hint("use the name that the certificate has, or have one made for this name");
  if (code == CURLE_PEER_FAILED_VERIFICATION)
    return error("its certificate is from an unknown authority")
        .hint("for a private CA set `ca` under `registries` in agent.yaml");
  if (text.find("unsupported protocol") != std::string::npos ||
      text.find("alert protocol version") != std::string::npos)
    return error("it speaks no TLS of version 1.2 or later").hint("update what serves TLS there");
  return Error{Errc::tls, fmt::format("TLS with {} failed: {}", host, text)}.hint(
      "for a private CA set `ca` under `registries` in agent.yaml; check the clock; "
      "`plain_http: true` only for a registry without TLS");
}

Error failure(CURLcode code, const Transfer& transfer, const char* detail, long verdict) {
  const std::string host = host_of(transfer.request.url);
  const std::string text = printable(*detail != '\0' ? detail : curl_easy_strerror(code));
  if (transfer.refused_address)
    return Error{
        Errc::ssrf,
        fmt::format(
            "{} has an address inside this network, which the server that sent us there has not",
            host)};
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return Error{Errc::net_timeout, fmt::format("the name {} does not resolve", host)}.hint(
          "check DNS and the name of the registry");
    case CURLE_COULDNT_CONNECT:
      return Error{Errc::unreachable, fmt::format("cannot connect to {}: {}", host, text)}.hint(
          "check that the registry runs and is reachable from this host");
    case CURLE_OPERATION_TIMEDOUT:
      if (transfer.head.status != 0)
        return Error{Errc::net_slow, fmt::format("{} sends too slowly: {}", host, text)};
      return Error{Errc::net_timeout, fmt::format("{} does not answer: {}", host, text)};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
      return tls_failure(code, host, text, verdict);
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_GOT_NOTHING:
      return Error{Errc::unreachable, fmt::format("the connection to {} broke: {}", host, text)};
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
      return Error{Errc::redirect, fmt::format("not a usable address at {}", host)};
    default:
      return Error{Errc::registry, fmt::format("request to {} failed: {}", host, text)};
  }
}

}  // namespace

struct HttpClient::State {
  CURL* easy = curl_easy_init();
  ~State() { curl_easy_cleanup(easy); }
};

HttpClient::HttpClient() : state_(std::make_unique<State>()) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Status HttpClient::start() {
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return Error{Errc::internal, "start the HTTP client"};
  return ok();
}

namespace {

void set_limits(CURL* easy, const HttpRequest& request) {
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, request.allow_http ? "http,https" : "https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  curl_easy_setopt(easy, CURLOPT_PROXY,
                   request.proxy.c_str());  // "": none, not even by environment
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
  curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 10'000L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1024L);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, 30L);
  curl_easy_setopt(easy, CURLOPT_TIMEOUT, request.total_seconds);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kBufferBytes);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
  curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "holdfast/" HOLDFAST_VERSION);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
}

void set_certificates(CURL* easy, const HttpRequest& request) {
  const auto set = [&](CURLoption option, const std::string& pem) {
    if (pem.empty()) return;
    curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};
    curl_easy_setopt(easy, option, &blob);
  };
  set(CURLOPT_CAINFO_BLOB, request.ca_pem);
  set(CURLOPT_SSLCERT_BLOB, request.client_certificate_pem);
  set(CURLOPT_SSLKEY_BLOB, request.client_key_pem);
}

}  // namespace

Result<HttpHead> HttpClient::perform(const HttpRequest& request, const BodySink& sink) {
  CURL* easy = state_->easy;
  if (easy == nullptr) return Error{Errc::internal, "start the HTTP client"};
  Transfer transfer{.request = request, .sink = sink, .head = {}, .error = {}};
  char detail[CURL_ERROR_SIZE] = "";
  curl_easy_reset(easy);
  set_limits(easy, request);
  curl_slist* list = nullptr;
  for (const auto& header : request.headers) list = curl_slist_append(list, header.c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers{list, curl_slist_free_all};
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, detail);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, &transfer);
  if (request.method == HttpMethod::head) curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  if (!request.post.empty()) {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.post.c_str());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.post.size()));
  }
  set_certificates(easy, request);
  const CURLcode code = curl_easy_perform(easy);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, nullptr);
  curl_off_t wait = 0;
  if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &wait) == CURLE_OK && wait > 0)
    transfer.head.retry_after = std::chrono::seconds{wait};
  if (transfer.error) return *std::move(transfer.error);
  constexpr long kProxyLogin = 407;
  long connected = 0;
  curl_easy_getinfo(easy, CURLINFO_HTTP_CONNECTCODE, &connected);
  if (connected == kProxyLogin || (!request.proxy.empty() && transfer.head.status == kProxyLogin))
    return Error{Errc::auth, fmt::format("the proxy {} wants a login", host_of(request.proxy))}
        .hint("write it into `proxy` of agent.yaml: http://user:password@host:port");
  if (connected >= 400)
    return Error{Errc::unreachable,
                 fmt::format("the proxy {} answers {} for {}", host_of(request.proxy), connected,
                             host_of(request.url))};
  long verdict = 0;
  curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &verdict);
  if (code != CURLE_OK) return failure(code, transfer, detail, verdict);
  return std::move(transfer.head);
}

}  // namespace holdfast::net
