#pragma once
#include <sys/socket.h>

#include "common/net/http_client.hpp"

namespace holdfast::net {

/// Where an IPv4, IPv6 or mapped address lies; what is neither is link_local, the most restricted.
[[nodiscard]] Reach reach_of(const sockaddr& address);

}  // namespace holdfast::net
