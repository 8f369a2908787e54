#include <fmt/format.h>

#include <algorithm>

#include "proto/deployment/compose_forms.hpp"
#include "proto/deployment/readers.hpp"
#include "proto/yaml/scalars.hpp"

namespace holdfast::proto {
namespace {

// Each is a series of a metric, so their number and size are bounded here.
constexpr std::size_t kMostLabels = 32;
constexpr std::size_t kLongestValue = 256;

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == '\x7f'; }

bool check_value(yaml::Fields& fields, const std::string& key,
                 const yaml::Located<std::string>& value) {
  const auto where = fmt::format("{}.{}", fields.path("labels"), key);
  if (value.value.size() > kLongestValue) {
    fields.findings().error(value.mark, fmt::format("{} has {} bytes, more than {}", where,
                                                    value.value.size(), kLongestValue));
    return false;
  }
  if (std::none_of(value.value.begin(), value.value.end(), is_control)) return true;
  fields.findings().error(value.mark, fmt::format("{} contains control characters", where));
  return false;
}

}  // namespace

void read_labels(yaml::Fields& fields, ServiceDraft& draft) {
  if (refuse_form(fields, "labels", yaml::Kind::sequence, "a mapping of names to strings",
                  compose::labels_hint))
    return;
  const auto entries = fields.text_map("labels");
  if (!entries) return;
  if (entries->size() > kMostLabels) {
    fields.findings().error(fields.value_mark("labels"),
                            fmt::format("{} has {} entries, more than {}", fields.path("labels"),
                                        entries->size(), kMostLabels));
    return;
  }
  json::Object canon;
  for (const auto& [key, value] : *entries) {
    if (!rules::is_label(key.value)) {
      fields.findings().error(
          key.mark, fmt::format("\"{}\" is not a name for a label", yaml::shown(key.value)),
          "letters, digits, _ . / and -, at most 63");
      continue;
    }
    if (!check_value(fields, key.value, value)) continue;
    draft.service.labels.emplace(key.value, value.value);
    canon.set(key.value, value.value);
  }
  if (!draft.service.labels.empty()) draft.canon.set("labels", canon);
}

}  // namespace holdfast::proto
