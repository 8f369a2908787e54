#include "proto/worker/fetch.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "proto/json/fields.hpp"
#include "proto/worker/failure.hpp"

namespace holdfast::proto::worker {
namespace {

namespace bj = boost::json;
using json::number_field;
using json::string_field;
using json::strings_field;

bj::array array_of(const std::vector<std::string>& texts) {
  bj::array out;
  for (const auto& text : texts) out.emplace_back(text);
  return out;
}

std::uint32_t small_field(const bj::object& object, std::string_view key) {
  return static_cast<std::uint32_t>(number_field(object, key));
}

bj::object object_of(const FetchEndpoint& e) {
  bj::array servers;
  for (const auto& server : e.token_servers)
    servers.push_back(bj::object{{"host", server.host}, {"ca_files", array_of(server.ca_files)}});
  return {{"base", e.base},
          {"api_path", e.api_path},
          {"query", e.query},
          {"token_scope", e.token_scope},
          {"user", e.user},
          {"password", e.password},
          {"identity_token", e.identity_token},
          {"bearer_token", e.bearer_token},
          {"ca_files", array_of(e.ca_files)},
          {"client_certificate", e.client_certificate},
          {"client_key", e.client_key},
          {"http_proxy", e.http_proxy},
          {"https_proxy", e.https_proxy},
          {"no_proxy", array_of(e.no_proxy)},
          {"token_servers", std::move(servers)}};
}

std::vector<TokenServer> token_servers_of(const bj::object& e) {
  std::vector<TokenServer> servers;
  const auto* list = e.if_contains("token_servers");
  if (list == nullptr || !list->is_array()) return servers;
  for (const auto& each : list->as_array()) {
    if (!each.is_object()) continue;
    const auto& server = each.as_object();
    servers.push_back({string_field(server, "host"), strings_field(server, "ca_files")});
  }
  return servers;
}

FetchEndpoint endpoint_of(const bj::object& e) {
  return {.base = string_field(e, "base"),
          .api_path = string_field(e, "api_path"),
          .query = string_field(e, "query"),
          .token_scope = string_field(e, "token_scope"),
          .user = string_field(e, "user"),
          .password = string_field(e, "password"),
          .identity_token = string_field(e, "identity_token"),
          .bearer_token = string_field(e, "bearer_token"),
          .ca_files = strings_field(e, "ca_files"),
          .client_certificate = string_field(e, "client_certificate"),
          .client_key = string_field(e, "client_key"),
          .http_proxy = string_field(e, "http_proxy"),
          .https_proxy = string_field(e, "https_proxy"),
          .no_proxy = strings_field(e, "no_proxy"),
          .token_servers = token_servers_of(e)};
}

bool is_one_line(const std::string& text) {
  return text.find_first_of(std::string_view{"\r\n\0", 3}) == std::string::npos;
}

}  // namespace

std::string encode(const FetchSetup& setup) {
  bj::array endpoints;
  for (const auto& endpoint : setup.endpoints) endpoints.push_back(object_of(endpoint));
  return bj::serialize(bj::object{{"endpoints", std::move(endpoints)},
                                  {"bytes_per_second", setup.bytes_per_second}});
}

Result<FetchSetup> decode_fetch_setup(std::string_view text) {
  HF_ASSIGN(const bj::object o, json::json_object(text, Errc::usage));
  FetchSetup setup{.endpoints = {}, .bytes_per_second = number_field(o, "bytes_per_second")};
  const auto* endpoints = o.if_contains("endpoints");
  if (endpoints == nullptr || !endpoints->is_array() || endpoints->as_array().empty())
    return Error{Errc::usage, "nowhere to fetch from"};
  for (const auto& value : endpoints->as_array()) {
    if (!value.is_object()) return Error{Errc::usage, "malformed endpoint"};
    setup.endpoints.push_back(endpoint_of(value.as_object()));
  }
  return setup;
}

std::string encode(const FetchRequest& request) {
  const auto& limits = request.limits;
  return bj::serialize(bj::object{{"method", request.method == FetchMethod::head ? "head" : "get"},
                                  {"url", request.url},
                                  {"headers", array_of(request.headers)},
                                  {"subject", request.subject},
                                  {"bytes", limits.bytes},
                                  {"answer_seconds", limits.answer_seconds},
                                  {"total_seconds", limits.total_seconds},
                                  {"hosts", array_of(limits.hosts)},
                                  {"size", request.size},
                                  {"skip_endpoints", request.skip_endpoints},
                                  {"have", request.have}});
}

Result<FetchRequest> decode_fetch_request(std::string_view text) {
  HF_ASSIGN(const bj::object o, json::json_object(text, Errc::usage));
  FetchRequest request{
      .method = string_field(o, "method") == "head" ? FetchMethod::head : FetchMethod::get,
      .url = string_field(o, "url"),
      .headers = strings_field(o, "headers"),
      .subject = string_field(o, "subject"),
      .limits = {.bytes = number_field(o, "bytes"),
                 .answer_seconds = small_field(o, "answer_seconds"),
                 .total_seconds = small_field(o, "total_seconds"),
                 .hosts = strings_field(o, "hosts")},
      .size = number_field(o, "size"),
      .skip_endpoints = small_field(o, "skip_endpoints"),
      .have = number_field(o, "have")};
  if (request.url.empty()) return Error{Errc::usage, "a request without a URL"};
  const bool lines = is_one_line(request.url) &&
                     std::all_of(request.headers.begin(), request.headers.end(), is_one_line);
  if (!lines) return Error{Errc::usage, "a line end inside a header or URL"};
  return request;
}

std::string encode(const Result<FetchReport>& report) {
  if (!report) return encode_failure(report.error());
  return bj::serialize(bj::object{{"done", report->done},
                                  {"bytes", report->bytes},
                                  {"status", report->status},
                                  {"length", report->length},
                                  {"content_type", report->content_type},
                                  {"etag", report->etag},
                                  {"endpoint", report->endpoint},
                                  {"endpoint_index", report->endpoint_index},
                                  {"endpoints", report->endpoints}});
}

Result<FetchReport> decode_fetch_report(std::string_view text) {
  HF_ASSIGN(const bj::object o, report_object(text));
  return FetchReport{.done = json::flag_field(o, "done"),
                     .bytes = number_field(o, "bytes"),
                     .status = small_field(o, "status"),
                     .length = number_field(o, "length"),
                     .content_type = string_field(o, "content_type"),
                     .etag = string_field(o, "etag"),
                     .endpoint = string_field(o, "endpoint"),
                     .endpoint_index = small_field(o, "endpoint_index"),
                     .endpoints = small_field(o, "endpoints")};
}

}  // namespace holdfast::proto::worker
