#include "agent/worker/message.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "proto/worker/fetch.hpp"

namespace holdfast::agent::worker {

namespace wire = proto::worker;

Result<Message> receive_message() {
  std::string text(wire::kMaxMessageBytes, '\0');
  iovec part{text.data(), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(3 * sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = recvmsg(wire::kFetchControl, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return errno_error(errno, "receive a request");
  text.resize(static_cast<std::size_t>(got));
  Message message{.text = std::move(text), .body = {}, .report = {}, .partial = {}};
  if (const cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr && c->cmsg_type == SCM_RIGHTS) {
    std::array<int, 3> fds{-1, -1, -1};
    std::memcpy(fds.data(), CMSG_DATA(c),
                std::min<std::size_t>(sizeof fds, c->cmsg_len - CMSG_LEN(0)));
    message.body.reset(fds[0]);
    message.report.reset(fds[1]);
    message.partial.reset(fds[2]);
  }
  return message;
}

}  // namespace holdfast::agent::worker
