#include "proto/worker/unpack.hpp"

#include <boost/json.hpp>

#include "proto/json/fields.hpp"
#include "proto/worker/escaped_path.hpp"
#include "proto/worker/failure.hpp"

namespace holdfast::proto::worker {
namespace {

namespace bj = boost::json;
using json::flag_field;
using json::json_object;
using json::number_field;
using json::string_field;

constexpr std::string_view name_of(oci::Compression compression) {
  switch (compression) {
    case oci::Compression::gzip:
      return "gzip";
    case oci::Compression::zstd:
      return "zstd";
    case oci::Compression::none:
      break;
  }
  return "none";
}

oci::Compression compression_of(std::string_view name) {
  if (name == "gzip") return oci::Compression::gzip;
  if (name == "zstd") return oci::Compression::zstd;
  return oci::Compression::none;
}

}  // namespace

std::string encode(const UnpackLimits& room) {
  return bj::serialize(bj::object{{"max_bytes", room.max_bytes}, {"lowers", room.lowers}});
}

Result<UnpackLimits> decode_unpack_limits(std::string_view text) {
  HF_ASSIGN(const bj::object o, json_object(text, Errc::usage));
  return UnpackLimits{.max_bytes = number_field(o, "max_bytes"),
                      .lowers = static_cast<std::uint32_t>(number_field(o, "lowers"))};
}

std::string encode(const UnpackJob& job) {
  return bj::serialize(bj::object{{"compression", name_of(job.compression)},
                                  {"size", job.size},
                                  {"space", job.space},
                                  {"keep_bytes", job.keep_bytes},
                                  {"keep_inodes", job.keep_inodes},
                                  {"max_entries", job.max_entries},
                                  {"cpu_seconds", job.cpu_seconds}});
}

Result<UnpackJob> decode_unpack_job(std::string_view text) {
  HF_ASSIGN(const bj::object o, json_object(text, Errc::usage));
  return UnpackJob{.compression = compression_of(string_field(o, "compression")),
                   .size = number_field(o, "size"),
                   .space = number_field(o, "space"),
                   .keep_bytes = number_field(o, "keep_bytes"),
                   .keep_inodes = number_field(o, "keep_inodes"),
                   .max_entries = number_field(o, "max_entries"),
                   .cpu_seconds = number_field(o, "cpu_seconds")};
}

std::string encode(const Result<UnpackReport>& report) {
  if (!report) return encode_failure(report.error());
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
  if (!report) return encode_failure(report.error());
  return bj::serialize(
      bj::object{{"done", report->done}, {"bytes", report->bytes}, {"tree", report->tree}});
}

Result<VerifyReport> decode_verify_report(std::string_view text) {
  HF_ASSIGN(const bj::object o, report_object(text));
  return VerifyReport{.done = flag_field(o, "done"),
                      .bytes = number_field(o, "bytes"),
                      .tree = string_field(o, "tree")};
}

}  // namespace holdfast::proto::worker
