#pragma once
#include <string>

#include "deploy/fetch/fetcher.hpp"

namespace holdfast::deploy::image {

/// `holdfast-worker archive`, which answers for the files of an OCI layout as holdfast-fetch does
/// for a registry. `file` is borrowed.
[[nodiscard]] fetch::ChildProgram archive_child(const std::string& worker_path, int file);

}  // namespace holdfast::deploy::image
