#include "deploy/image/pull/archive_child.hpp"

#include "proto/worker/fetch.hpp"

namespace holdfast::deploy::image {

fetch::ChildProgram archive_child(const std::string& worker_path, int file) {
  return {.argv = {worker_path, "archive"}, .fds = {{file, proto::worker::kArchiveFile}}};
}

}  // namespace holdfast::deploy::image
