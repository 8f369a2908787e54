#include "deploy/image/layers/verifier.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "common/log/log.hpp"
#include "common/os/file.hpp"
#include "common/os/process.hpp"
#include "proto/worker/unpack.hpp"

namespace holdfast::deploy::image {
namespace {

constexpr int kPollMs = 200;

Error child_gone() {
  return Error{Errc::internal, "the verifying child ended unexpectedly"}.hint(
      "see the log for its last words, then verify again");
}

}  // namespace

/// The digest of the tree as a child finds it now.
Result<std::string> Verifier::hash(const std::string& key, const Progress& progress) {
  HF_ASSIGN(const auto tree, os::open_file(store_.paths.tree(key), O_RDONLY | O_DIRECTORY));
  HF_ASSIGN(auto report, os::make_pipe());
  const proto::worker::VerifyJob job{.bytes_per_second = budget_.bytes_per_second};
  auto child =
      os::Process::spawn({.argv = {store_.worker_path, "verify", proto::worker::encode(job)},
                          .env = {},
                          .fds = {{tree.get(), proto::worker::kVerifyTree},
                                  {report.second.get(), proto::worker::kVerifyReport}},
                          .directory = "/",
                          .new_session = true});
  if (!child) return std::move(child).error().in("start the verifying child");
  report.second.reset();
  std::string text;
  std::array<char, 4096> buffer;
  for (;;) {
    if (stop_.stop_requested()) return Error{Errc::cancelled, "verify"};
    pollfd wait{report.first.get(), POLLIN, 0};
    if (::poll(&wait, 1, kPollMs) < 0 && errno != EINTR) return errno_error(errno, "poll");
    if (wait.revents == 0) continue;
    const ssize_t got = ::read(report.first.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || text.size() > proto::worker::kMaxMessageBytes) return child_gone();
    text.append(buffer.data(), static_cast<std::size_t>(got));
    for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
      auto said = proto::worker::decode_verify_report(std::string_view{text}.substr(0, end));
      text.erase(0, end + 1);
      if (!said) return std::move(said).error();
      if (progress) progress(said->bytes);
      if (!said->done) continue;
      sum_.bytes += said->bytes;
      return std::move(said->tree);
    }
  }
}

Result<std::string> Verifier::layer(const std::string& key, const Progress& progress) {
  Leases::Lease lease{store_.leases};  // nobody collects what is being read
  lease.hold(key);
  std::string wrong;
  const auto meta = store_.layer_meta(key);
  if (!meta) {
    wrong = "its record is damaged: " + meta.error().what();
  } else if (meta->tree.empty()) {
    ++sum_.unknown;
    return std::string{};
  } else {
    auto found = hash(key, progress);
    // What cannot be read is damaged too; what this program could not do says nothing.
    const bool unreadable =
        !found && (found.error().code() == Errc::io || found.error().code() == Errc::not_found);
    if (!found && !unreadable) return std::move(found).error().in("verify layer " + key);
    if (!found) wrong = "it cannot be read: " + found.error().what();
    if (found && *found != meta->tree) wrong = "its files are not those that were unpacked";
  }
  ++sum_.layers;
  if (wrong.empty()) {
    HF_TRY(os::remove_tree(store_.paths.damaged(key)));
    HF_TRY(os::write_atomic(store_.paths.verified(key), "", 0600, os::Durability::lazy));
    return wrong;
  }
  log::error("event=layer_damaged layer={} reason={}", key, log::field(wrong));
  HF_TRY(os::write_atomic(store_.paths.damaged(key), wrong + "\n"));
  return wrong;
}

}  // namespace holdfast::deploy::image
