#pragma once
/// \file
/// Values in the form of compose files, said again in the form of this document: the hint of the
/// error that refuses them. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "proto/deployment/rules.hpp"
#include "proto/yaml/tree.hpp"

namespace holdfast::proto::compose {

/// ["A=b", "C"] → "write env: {A: \"b\"}"; names without a value are said to have none here.
[[nodiscard]] std::string env_hint(const yaml::Node& list);
/// The same for labels and sysctls.
[[nodiscard]] std::string labels_hint(const yaml::Node& list);
[[nodiscard]] std::string sysctls_hint(const yaml::Node& list);
/// "data:/var/lib:ro" → "write {source: data, target: /var/lib, read_only: true}"; empty when it is
/// none of these.
[[nodiscard]] std::string volume_hint(const yaml::Node& item);
/// {db: {condition: …}} → "write depends_on: [db]".
[[nodiscard]] std::string depends_on_hint(const yaml::Node& mapping);
/// "pw" → "write {name: pw, file: /PATH/ON/THE/HOST}".
[[nodiscard]] std::string secret_hint(const yaml::Node& item);
/// The two forms of a config.
[[nodiscard]] std::string config_hint(const yaml::Node& item);
/// The key "A:b" of {A:b} → "write a space after the colon: A: b".
[[nodiscard]] std::string colon_hint(std::string_view key);
/// A program with blanks in its name: a command line in one argument, which no shell splits.
[[nodiscard]] rules::Verdict check_program(const std::vector<std::string>& command);
/// "$HOME", "$$": passed on as they are; a shell or another tool would put something in their
/// place. Empty when there is nothing to say.
[[nodiscard]] std::string dollar_warning(std::string_view text);

}  // namespace holdfast::proto::compose
