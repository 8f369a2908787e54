#pragma once
#include <string>

namespace holdfast::os {

/// The host's name as the kernel has it; "localhost" where it has none. Thread safe.
[[nodiscard]] std::string host_name();

/// Text that tells this host from others: its machine-id(5) and its name. Not to be published: it
/// goes into digests only. Blocks for a read of a small file. Thread safe.
[[nodiscard]] std::string host_identity();

}  // namespace holdfast::os
