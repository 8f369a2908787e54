#pragma once
#include <string_view>

namespace holdfast::proto {

/// proto/deployment.schema.json (JSON Schema draft 7), as printed by `holdfast schema`. It accepts
/// what the parser accepts and rejects what it rejects, as far as a schema can; a test holds both
/// to the same documents.
[[nodiscard]] std::string_view deployment_schema();

}  // namespace holdfast::proto
