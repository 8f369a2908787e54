#include "deploy/image/layers/unpacker.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace holdfast::deploy::image {

Result<Unpacker> Unpacker::start(const std::string& worker_path, proto::worker::UnpackLimits room,
                                 const os::UniqueFd& input, const os::UniqueFd& tree,
                                 const std::vector<os::UniqueFd>& lowers) {
  HF_ASSIGN(auto report, os::make_pipe());
  HF_ASSIGN(auto job, os::make_pipe());
  fcntl(report.first.get(), F_SETFL, O_NONBLOCK);
  room.lowers = static_cast<std::uint32_t>(lowers.size());
  os::SpawnOptions options{.argv = {worker_path, "unpack", proto::worker::encode(room)},
                           .env = {},
                           .fds = {{input.get(), proto::worker::kUnpackInput},
                                   {tree.get(), proto::worker::kUnpackTree},
                                   {report.second.get(), proto::worker::kUnpackReport},
                                   {job.first.get(), proto::worker::kUnpackJob}},
                           .directory = "/",
                           .new_session = true};
  for (std::size_t i = 0; i < lowers.size(); ++i)
    options.fds.emplace_back(lowers[i].get(), proto::worker::kUnpackLowers + static_cast<int>(i));
  auto child = os::Process::spawn(options);
  if (!child) return std::move(child).error().in("start the unpacking child");
  return Unpacker{*std::move(child), std::move(job.second), std::move(report.first)};
}

Status Unpacker::begin(const proto::worker::UnpackJob& job) {
  const auto text = proto::worker::encode(job);
  cpu_seconds_ = job.cpu_seconds;
  ssize_t wrote = 0;
  do {
    wrote = ::write(job_.get(), text.data(), text.size());  // less than a pipe takes at once
  } while (wrote < 0 && errno == EINTR);
  job_.reset();
  if (wrote == static_cast<ssize_t>(text.size())) return ok();
  return Error{Errc::io, "the unpacking child ended before it had anything to do"}.hint(
      "see the log for its last words; it is restarted with the next try");
}

std::optional<Result<proto::worker::UnpackReport>> Unpacker::advance() {
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t got = ::read(report_.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return std::nullopt;
    if (got <= 0) return outcome();
    text_.append(buffer.data(), static_cast<std::size_t>(got));
    if (text_.size() > proto::worker::kMaxReportBytes)
      return Result<proto::worker::UnpackReport>{
          Error{Errc::layer_limit, "the layer has too many implicit directories"}};
  }
}

Result<proto::worker::UnpackReport> Unpacker::outcome() {
  if (!text_.empty()) return proto::worker::decode_unpack_report(text_);
  const auto status = child_.wait(std::nullopt, {});
  if (!status) return status.error();
  const auto* signalled = std::get_if<os::Signalled>(&*status);
  if (signalled != nullptr && signalled->signo == SIGXCPU)
    return Error{Errc::layer_limit,
                 fmt::format("unpacking the layer takes more than {} s of processor time, too much "
                             "for a layer of this size",
                             cpu_seconds_)};
  if (signalled != nullptr && signalled->signo == SIGKILL)
    return Error{Errc::io, "the unpacking child was killed"}.hint(
        "the kernel's log tells whether memory ran out");
  if (signalled != nullptr && signalled->signo == SIGILL)
    return Error{Errc::host, "this processor lacks an instruction that the unpacking child uses"}
        .hint(
            "report it with the model name of /proc/cpuinfo; on a virtual machine choose a newer "
            "processor model");
  // Nothing says that the layer is to blame: whoever it condemned could not run it elsewhere.
  return Error{Errc::io, "the unpacking child ended without a word: " + os::describe(*status)}.hint(
      "it is tried again; when it goes on, report it with this layer: holdfast image verify tells "
      "whether the disk is sound");
}

}  // namespace holdfast::deploy::image
