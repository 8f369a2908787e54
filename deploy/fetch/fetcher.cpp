#include "deploy/fetch/fetcher.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <span>

namespace holdfast::deploy::fetch {
namespace {

constexpr int kPollMs = 200;  // how soon a stop is seen

Error child_gone() {
  return Error{Errc::io, "the fetching child ended unexpectedly"}.hint(
      "see the log for its last words; it is restarted with the next try");
}

Status send_message(int socket, const std::string& text, std::span<const int> fds) {
  iovec part{const_cast<char*>(text.data()), text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(3 * sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(c), fds.data(), fds.size_bytes());
  }
  ssize_t sent = 0;
  do {
    sent = sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent == static_cast<ssize_t>(text.size())) return ok();
  return child_gone();
}

}  // namespace

std::optional<Result<proto::worker::FetchReport>> Download::advance() {
  std::array<char, 4096> buffer;
  const ssize_t got = ::read(reports_.get(), buffer.data(), buffer.size());
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return std::nullopt;
  if (got <= 0) return Result<proto::worker::FetchReport>{child_gone()};
  pending_.append(buffer.data(), static_cast<std::size_t>(got));
  if (pending_.size() > proto::worker::kMaxMessageBytes)
    return Result<proto::worker::FetchReport>{child_gone()};
  for (auto end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n')) {
    auto report = proto::worker::decode_fetch_report(std::string_view{pending_}.substr(0, end));
    pending_.erase(0, end + 1);
    if (!report || report->done) return report;
    bytes_ = report->bytes;
  }
  return std::nullopt;
}

ChildProgram network_child(const std::string& worker_path, int bandwidth) {
  const auto program = std::filesystem::path{worker_path}.parent_path() / "holdfast-fetch";
  ChildProgram child{.argv = {program.string()}, .fds = {}};
  if (bandwidth >= 0) child.fds.emplace_back(bandwidth, proto::worker::kFetchBandwidth);
  return child;
}

Status Fetcher::start() {
  const std::lock_guard lock{mutex_};
  if (child_) return ok();
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return errno_error(errno, "socketpair");
  os::UniqueFd ours{ends[0]};
  const os::UniqueFd theirs{ends[1]};
  os::SpawnOptions options{
      .argv = program_.argv, .env = {}, .fds = program_.fds, .directory = "/", .new_session = true};
  options.fds.emplace_back(theirs.get(), proto::worker::kFetchControl);
  auto child = os::Process::spawn(options);
  if (!child) return std::move(child).error().in("start the fetching child");
  child_.emplace(*std::move(child));
  control_ = std::move(ours);
  return ok();
}

/// Under the lock. A child that is gone is restarted by the next call.
Status Fetcher::send(const std::string& message, std::span<const int> fds) {
  auto sent = send_message(control_.get(), message, fds);
  if (sent) return sent;
  child_.reset();
  control_.reset();
  configured_ = false;
  return sent;
}

Status Fetcher::configure(const proto::worker::FetchSetup& setup) {
  HF_TRY(start());
  const std::lock_guard lock{mutex_};
  setup_ = proto::worker::encode(setup);
  HF_TRY(send(setup_, {}));
  configured_ = true;
  return ok();
}

Result<Download> Fetcher::stream(const proto::worker::FetchRequest& request, os::UniqueFd body,
                                 const os::UniqueFd& partial) {
  HF_TRY(start());
  HF_ASSIGN(auto reports, os::make_pipe());
  fcntl(reports.first.get(), F_SETFL, O_NONBLOCK);
  const std::array<int, 3> all{body.get(), reports.second.get(), partial.get()};
  const auto fds = std::span{all}.first(partial ? 3 : 2);
  const std::lock_guard lock{mutex_};
  if (!configured_) {
    HF_TRY(send(setup_, {}));
    configured_ = true;
  }
  HF_TRY(send(proto::worker::encode(request), fds));
  return Download{std::move(reports.first)};
}

Result<FetchedDocument> Fetcher::document(const proto::worker::FetchRequest& request,
                                          const std::stop_token& stop) {
  HF_ASSIGN(auto body, os::make_pipe());
  HF_ASSIGN(auto download, stream(request, std::move(body.second)));
  FetchedDocument document;
  std::array<char, 16384> buffer;
  std::optional<Result<proto::worker::FetchReport>> outcome;
  bool more = true;
  while (more || !outcome) {
    if (stop.stop_requested()) return Error{Errc::cancelled, "fetch a document"};
    std::array<pollfd, 2> fds{
        {{more ? body.first.get() : -1, POLLIN, 0}, {outcome ? -1 : download.fd(), POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), kPollMs) < 0 && errno != EINTR)
      return errno_error(errno, "poll");
    if (fds[0].revents != 0) {
      const ssize_t got = ::read(body.first.get(), buffer.data(), buffer.size());
      if (got > 0) document.bytes.append(buffer.data(), static_cast<std::size_t>(got));
      if (got == 0 || (got < 0 && errno != EINTR)) more = false;
      if (document.bytes.size() > request.limits.bytes)
        return Error{Errc::size_mismatch,
                     fmt::format("the document is larger than {} bytes", request.limits.bytes)};
    }
    if (fds[1].revents != 0) outcome = download.advance();
    if (outcome && !*outcome) return std::move(*outcome).error();
  }
  document.report = **std::move(outcome);
  return document;
}

}  // namespace holdfast::deploy::fetch
