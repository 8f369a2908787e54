#include "deploy/image/worker_protocol.hpp"

#include <boost/json.hpp>

#include "deploy/image/json_fields.hpp"
#include "proto/json/json.hpp"

namespace holdfast::deploy::image::worker {
namespace {

namespace bj = boost::json;

bj::object failure(const Error& error) {
  return {{"error",
           {{"code", code(error.code())}, {"what", error.what()}, {"hint", error.next_step()}}}};
}

/// The object of a report, or the failure that it carries.
Result<bj::object> report_object(std::string_view text) {
  HF_ASSIGN(bj::object object, json_object(text, Errc::internal));
  const auto* error = object.if_contains("error");
  if (error == nullptr || !error->is_object()) return object;
  const auto& fields = error->as_object();
  const auto code = errc_from_code(string_field(fields, "code"));
  auto out = Error{code.value_or(Errc::internal), string_field(fields, "what")};
  return std::move(out).hint(string_field(fields, "hint"));
}

constexpr std::string_view name_of(proto::oci::Compression compression) {
  switch (compression) {
    case proto::oci::Compression::gzip:
      return "gzip";
    case proto::oci::Compression::zstd:
      return "zstd";
    case proto::oci::Compression::none:
      break;
  }
  return "none";
}

proto::oci::Compression compression_of(std::string_view name) {
  if (name == "gzip") return proto::oci::Compression::gzip;
  if (name == "zstd") return proto::oci::Compression::zstd;
  return proto::oci::Compression::none;
}

constexpr std::string_view name_of(FetchKind kind) {
  switch (kind) {
    case FetchKind::manifest:
      return "manifest";
    case FetchKind::layout:
      return "layout";
    case FetchKind::blob:
      break;
  }
  return "blob";
}

FetchKind kind_of(std::string_view name) {
  if (name == "manifest") return FetchKind::manifest;
  return name == "layout" ? FetchKind::layout : FetchKind::blob;
}

}  // namespace

std::string encode(const UnpackRoom& room) {
  return bj::serialize(bj::object{{"max_bytes", room.max_bytes}, {"lowers", room.lowers}});
}

Result<UnpackRoom> decode_unpack_room(std::string_view text) {
  HF_ASSIGN(const bj::object o, json_object(text, Errc::usage));
  return UnpackRoom{.max_bytes = number_field(o, "max_bytes"),
                    .lowers = static_cast<std::uint32_t>(number_field(o, "lowers"))};
}

std::string encode(const UnpackJob& job) {
  return bj::serialize(bj::object{{"compression", name_of(job.compression)},
                                  {"size", job.size},
                                  {"space", job.space},
                                  {"max_entries", job.max_entries}});
}

Result<UnpackJob> decode_unpack_job(std::string_view text) {
  HF_ASSIGN(const bj::object o, json_object(text, Errc::usage));
  return UnpackJob{.compression = compression_of(string_field(o, "compression")),
                   .size = number_field(o, "size"),
                   .space = number_field(o, "space"),
                   .max_entries = number_field(o, "max_entries")};
}

std::string encode(const Result<UnpackReport>& report) {
  if (!report) return bj::serialize(failure(report.error()));
  return bj::serialize(bj::object{{"blob", report->blob},
                                  {"diff_id", report->diff_id},
                                  {"bytes", report->bytes},
                                  {"entries", report->entries},
                                  {"needs_lower", report->needs_lower},
                                  {"implicit", paths_array(report->implicit_directories)},
                                  {"whiteout_parents", paths_array(report->whiteout_parents)},
                                  {"unsupported_xattrs", report->unsupported_xattrs},
                                  {"tree", report->tree}});
}

Result<UnpackReport> decode_unpack_report(std::string_view text) {
  HF_ASSIGN(const bj::object o, report_object(text));
  UnpackReport report{.blob = string_field(o, "blob"),
                      .diff_id = string_field(o, "diff_id"),
                      .bytes = number_field(o, "bytes"),
                      .entries = number_field(o, "entries"),
                      .needs_lower = flag_field(o, "needs_lower"),
                      .implicit_directories = {},
                      .whiteout_parents = {},
                      .unsupported_xattrs = number_field(o, "unsupported_xattrs"),
                      .tree = string_field(o, "tree")};
  HF_ASSIGN(report.implicit_directories, paths_field(o, "implicit"));
  HF_ASSIGN(report.whiteout_parents, paths_field(o, "whiteout_parents"));
  return report;
}

std::string encode(const VerifyJob& job) {
  return bj::serialize(bj::object{{"bytes_per_second", job.bytes_per_second}});
}

Result<VerifyJob> decode_verify_job(std::string_view text) {
  HF_ASSIGN(const bj::object o, json_object(text, Errc::usage));
  return VerifyJob{.bytes_per_second = number_field(o, "bytes_per_second")};
}

std::string encode(const Result<VerifyReport>& report) {
  if (!report) return bj::serialize(failure(report.error()));
  return bj::serialize(
      bj::object{{"done", report->done}, {"bytes", report->bytes}, {"tree", report->tree}});
}

Result<VerifyReport> decode_verify_report(std::string_view text) {
  HF_ASSIGN(const bj::object o, report_object(text));
  return VerifyReport{.done = flag_field(o, "done"),
                      .bytes = number_field(o, "bytes"),
                      .tree = string_field(o, "tree")};
}

std::string encode(const FetchSetup& setup) {
  bj::array endpoints;
  for (const auto& e : setup.endpoints) {
    bj::array authorities;
    for (const auto& file : e.ca_files) authorities.emplace_back(file);
    bj::array except;
    for (const auto& rule : e.no_proxy) except.emplace_back(rule);
    endpoints.push_back(bj::object{{"base", e.base},
                                   {"http_proxy", e.http_proxy},
                                   {"https_proxy", e.https_proxy},
                                   {"no_proxy", std::move(except)},
                                   {"user", e.user},
                                   {"password", e.password},
                                   {"identity_token", e.identity_token},
                                   {"ca_files", std::move(authorities)},
                                   {"client_certificate", e.client_certificate},
                                   {"client_key", e.client_key}});
  }
  return bj::serialize(bj::object{{"host", setup.host},
                                  {"repository", setup.repository},
                                  {"endpoints", std::move(endpoints)},
                                  {"bytes_per_second", setup.bytes_per_second}});
}

Result<FetchSetup> decode_fetch_setup(std::string_view text) {
  HF_ASSIGN(const bj::object o, json_object(text, Errc::usage));
  FetchSetup setup{.host = string_field(o, "host"),
                   .repository = string_field(o, "repository"),
                   .endpoints = {},
                   .bytes_per_second = number_field(o, "bytes_per_second")};
  const auto* endpoints = o.if_contains("endpoints");
  if (endpoints == nullptr || !endpoints->is_array() || endpoints->as_array().empty())
    return Error{Errc::usage, "nowhere to fetch from"};
  for (const auto& value : endpoints->as_array()) {
    if (!value.is_object()) return Error{Errc::usage, "malformed endpoint"};
    const auto& e = value.as_object();
    setup.endpoints.push_back({.base = string_field(e, "base"),
                               .user = string_field(e, "user"),
                               .password = string_field(e, "password"),
                               .identity_token = string_field(e, "identity_token"),
                               .ca_files = strings_field(e, "ca_files"),
                               .client_certificate = string_field(e, "client_certificate"),
                               .client_key = string_field(e, "client_key"),
                               .http_proxy = string_field(e, "http_proxy"),
                               .https_proxy = string_field(e, "https_proxy"),
                               .no_proxy = strings_field(e, "no_proxy")});
  }
  return setup;
}

std::string encode(const FetchRequest& request) {
  return bj::serialize(bj::object{{"kind", name_of(request.kind)},
                                  {"digest", request.digest},
                                  {"size", request.size},
                                  {"limit", request.limit},
                                  {"skip_endpoints", request.skip_endpoints},
                                  {"have", request.have}});
}

Result<FetchRequest> decode_fetch_request(std::string_view text) {
  HF_ASSIGN(const bj::object o, json_object(text, Errc::usage));
  FetchRequest request{
      .kind = kind_of(string_field(o, "kind")),
      .digest = {},
      .size = number_field(o, "size"),
      .limit = number_field(o, "limit"),
      .skip_endpoints = static_cast<std::uint32_t>(number_field(o, "skip_endpoints")),
      .have = number_field(o, "have")};
  HF_ASSIGN(const auto digest, proto::Digest::parse(string_field(o, "digest")));
  request.digest = digest.str();
  return request;
}

std::string encode(const Result<FetchReport>& report) {
  if (!report) return bj::serialize(failure(report.error()));
  return bj::serialize(bj::object{{"done", report->done},
                                  {"bytes", report->bytes},
                                  {"content_type", report->content_type},
                                  {"endpoint", report->endpoint},
                                  {"endpoint_index", report->endpoint_index},
                                  {"endpoints", report->endpoints}});
}

Result<FetchReport> decode_fetch_report(std::string_view text) {
  HF_ASSIGN(const bj::object o, report_object(text));
  return FetchReport{
      .done = flag_field(o, "done"),
      .bytes = number_field(o, "bytes"),
      .content_type = string_field(o, "content_type"),
      .endpoint = string_field(o, "endpoint"),
      .endpoint_index = static_cast<std::uint32_t>(number_field(o, "endpoint_index")),
      .endpoints = static_cast<std::uint32_t>(number_field(o, "endpoints"))};
}

}  // namespace holdfast::deploy::image::worker
