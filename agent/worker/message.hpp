#pragma once
#include <string>

#include "common/base/result.hpp"
#include "common/os/unique_fd.hpp"

namespace holdfast::agent::worker {

/// A message of the parent with the descriptors that came along; empty text at the end.
struct Message {
  std::string text;
  os::UniqueFd body;
  os::UniqueFd report;
  os::UniqueFd partial;
};

/// The next message on descriptor 3 (proto/worker/fetch.hpp). Blocks. Errors: by errno.
[[nodiscard]] Result<Message> receive_message();

}  // namespace holdfast::agent::worker
