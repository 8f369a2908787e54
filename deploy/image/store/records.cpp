#include "deploy/image/store/records.hpp"

#include <boost/json.hpp>

#include "proto/json/fields.hpp"
#include "proto/worker/escaped_path.hpp"

namespace holdfast::deploy::image {

namespace bj = boost::json;
using proto::json::json_object;
using proto::json::number_field;
using proto::json::string_field;
using proto::json::strings_field;
using proto::worker::paths_array;
using proto::worker::paths_field;

std::string encode(const LayerMeta& meta) {
  return bj::serialize(bj::object{{"diff_id", meta.diff_id},
                                  {"blob", meta.blob},
                                  {"size", meta.size},
                                  {"bytes", meta.bytes},
                                  {"entries", meta.entries},
                                  {"implicit", paths_array(meta.implicit_directories)},
                                  {"whiteout_parents", paths_array(meta.whiteout_parents)},
                                  {"tree", meta.tree}}) +
         "\n";
}

Result<LayerMeta> decode_layer_meta(std::string_view text) {
  HF_ASSIGN(const bj::object o, json_object(text, Errc::layer_corrupt));
  LayerMeta meta{.diff_id = string_field(o, "diff_id"),
                 .blob = string_field(o, "blob"),
                 .size = number_field(o, "size"),
                 .bytes = number_field(o, "bytes"),
                 .entries = number_field(o, "entries"),
                 .implicit_directories = {},
                 .whiteout_parents = {},
                 .tree = string_field(o, "tree")};
  HF_ASSIGN(meta.implicit_directories, paths_field(o, "implicit"));
  HF_ASSIGN(meta.whiteout_parents, paths_field(o, "whiteout_parents"));
  return meta;
}

std::string encode(const ImageRecord& record) {
  bj::array layers;
  for (const auto& key : record.layers) layers.emplace_back(key);
  return bj::serialize(bj::object{{"pinned", record.pinned.str()},
                                  {"manifest", record.manifest.str()},
                                  {"config", record.config.str()},
                                  {"layers", std::move(layers)},
                                  {"bytes", record.bytes},
                                  {"compressed", record.compressed},
                                  {"hidden", record.hidden},
                                  {"reference", record.reference}}) +
         "\n";
}

Result<ImageRecord> decode_image_record(std::string_view text) {
  HF_ASSIGN(const bj::object o, json_object(text, Errc::layer_corrupt));
  HF_ASSIGN(auto pinned, proto::Digest::parse(string_field(o, "pinned")));
  HF_ASSIGN(auto manifest, proto::Digest::parse(string_field(o, "manifest")));
  HF_ASSIGN(auto config, proto::Digest::parse(string_field(o, "config")));
  ImageRecord record{std::move(pinned),         std::move(manifest),
                     std::move(config),         strings_field(o, "layers"),
                     number_field(o, "bytes"),  number_field(o, "compressed"),
                     number_field(o, "hidden"), string_field(o, "reference")};
  if (record.hidden > record.layers.size())
    return Error{Errc::layer_corrupt, "more layers are hidden than there are"};
  // Keys become paths: nothing but what this store itself makes.
  for (const auto& key : record.layers) {
    const bool plain =
        !key.empty() &&
        key.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz-") == std::string::npos;
    if (!plain) return Error{Errc::layer_corrupt, "malformed layer key"};
  }
  return record;
}

}  // namespace holdfast::deploy::image
