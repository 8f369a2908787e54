#pragma once
/// \file
/// Reading members of OCI documents. OPTIONAL members may be absent or null; unknown members are
/// ignored (image-spec considerations.md). For the .cpp files of this folder.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "proto/oci/oci.hpp"

namespace boost::json {
class value;
class object;
}  // namespace boost::json

namespace holdfast::proto::oci {

/// The member, or null when it is absent or JSON null.
[[nodiscard]] const boost::json::value* member(const boost::json::object& object,
                                               std::string_view key);

/// Errors of all below: layer_corrupt, naming the member.
[[nodiscard]] Result<std::string> text(const boost::json::object& object, std::string_view key);
/// As `text`, but absent or empty is an error.
[[nodiscard]] Result<std::string> required_text(const boost::json::object& object,
                                                std::string_view key);
[[nodiscard]] Result<std::vector<std::string>> texts(const boost::json::object& object,
                                                     std::string_view key);
[[nodiscard]] Result<std::map<std::string, std::string>> text_map(const boost::json::object& object,
                                                                  std::string_view key);
/// Keys of an object used as a set.
[[nodiscard]] Result<std::vector<std::string>> key_set(const boost::json::object& object,
                                                       std::string_view key);
/// The member as an object; a null pointer when absent.
[[nodiscard]] Result<const boost::json::object*> object_member(const boost::json::object& object,
                                                               std::string_view key);

/// `os`, `architecture` and `variant`, normalised (packaging/doc/security.md 1.3).
[[nodiscard]] Result<Platform> platform(const boost::json::object& object);
/// Also: digest_unsupported, ref_invalid.
[[nodiscard]] Result<Descriptor> descriptor(const boost::json::value& value);

/// The document as an object, its size checked. Errors: too_large, layer_corrupt.
[[nodiscard]] Result<boost::json::value> document(std::string_view bytes, std::string_view what);

}  // namespace holdfast::proto::oci
