#include "agent/worker/unpack/pipeline.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/text.hpp"
#include "common/os/process.hpp"

namespace holdfast::agent::worker::unpack {
namespace {
// Small enough that what inflate wrote is still in the second-level cache when it is hashed and
// written.
constexpr std::size_t kChunkBytes = 128U << 10;
constexpr std::size_t kChunks = 6;
constexpr std::size_t kInputBytes = 128U << 10;
}  // namespace

InflatedStream::InflatedStream(int input_fd, proto::oci::Compression compression,
                               const StreamLimits& limits)
    : input_fd_(input_fd), limits_(limits), inflater_(make_inflater(compression)) {
  thread_ = std::thread([this] { run(); });
}

InflatedStream::~InflatedStream() {
  {
    const std::lock_guard lock{mutex_};
    abandoned_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void InflatedStream::run() {
  os::name_this_thread("inflate");
  auto status = produce();
  const std::lock_guard lock{mutex_};
  if (!status) error_ = std::move(status).error();
  done_ = true;
  changed_.notify_all();
}

Status InflatedStream::produce() {
  std::vector<std::byte> input(kInputBytes);
  for (;;) {
    const ssize_t got = ::read(input_fd_, input.data(), input.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "receive the layer");
    if (got == 0) break;
    const auto bytes = std::span{input}.first(static_cast<std::size_t>(got));
    compressed_bytes_ += bytes.size();
    if (compressed_bytes_ > limits_.compressed)
      return Error{
          Errc::size_mismatch,
          fmt::format("the layer is larger than the {} bytes declared", limits_.compressed)};
    compressed_hash_.update(bytes);
    HF_TRY(inflate_all(bytes));
  }
  if (compressed_bytes_ < limits_.compressed)
    return Error{Errc::size_mismatch, fmt::format("the layer ends after {} of {} bytes",
                                                  compressed_bytes_, limits_.compressed)};
  HF_TRY(inflate_all({}));  // what the decoder still holds
  HF_TRY(inflater_->finish());
  HF_TRY(emit());
  compressed_sha256_ = compressed_hash_.finish_hex();
  return ok();
}

Status InflatedStream::inflate_all(std::span<const std::byte> in) {
  for (;;) {
    if (filling_.data.empty()) {
      auto chunk = free_chunk();
      if (!chunk) return Error{Errc::cancelled, "unpacking was abandoned"};
      filling_ = std::move(*chunk);
    }
    HF_ASSIGN(const Step step,
              inflater_->step(in, std::span{filling_.data}.subspan(filling_.size)));
    in = in.subspan(step.used);
    filling_.size += step.made;
    produced_ += step.made;
    if (produced_ > limits_.uncompressed)
      return Error{Errc::layer_limit, fmt::format("the layer inflates to more than {}",
                                                  human_bytes(limits_.uncompressed))};
    if (produced_ > limits_.space)
      return Error{Errc::nospace,
                   fmt::format("the layer unpacks to more than the {} that may still be written",
                               human_bytes(limits_.space))};
    if (filling_.size == filling_.data.size()) HF_TRY(emit());
    if (step.used == 0 && step.made == 0) {
      if (!in.empty()) return Error{Errc::layer_corrupt, "the compressed stream makes no progress"};
      return ok();
    }
    if (in.empty() && filling_.size < filling_.data.size() && filling_.size > 0 && step.made == 0)
      return ok();
  }
}

std::optional<InflatedStream::Chunk> InflatedStream::free_chunk() {
  std::unique_lock lock{mutex_};
  // A small layer does not touch the memory of a large one.
  if (free_.empty() && chunks_ < kChunks) {
    ++chunks_;
    return Chunk{std::vector<std::byte>(kChunkBytes), 0};
  }
  changed_.wait(lock, [&] { return abandoned_ || !free_.empty(); });
  if (abandoned_) return std::nullopt;
  Chunk chunk = std::move(free_.front());
  free_.pop_front();
  chunk.size = 0;
  return chunk;
}

Status InflatedStream::emit() {
  if (filling_.size == 0) return ok();
  {
    const std::lock_guard lock{mutex_};
    full_.push_back(std::move(filling_));
  }
  filling_ = {};
  changed_.notify_all();
  return ok();
}

Result<std::span<const std::byte>> InflatedStream::peek() {
  if (offset_ < current_.size)
    return std::span<const std::byte>{current_.data}.subspan(offset_, current_.size - offset_);
  {
    std::unique_lock lock{mutex_};
    if (!current_.data.empty()) {
      free_.push_back(std::move(current_));
      current_ = {};
      changed_.notify_all();
    }
    offset_ = 0;
    changed_.wait(lock, [&] { return done_ || !full_.empty(); });
    if (full_.empty()) {
      if (error_) return *error_;
      return std::span<const std::byte>{};
    }
    current_ = std::move(full_.front());
    full_.pop_front();
  }
  const auto data = std::span<const std::byte>{current_.data}.first(current_.size);
  diff_hash_.update(data);
  bytes_ += data.size();
  return data;
}

void InflatedStream::consume(std::size_t count) {
  offset_ += std::min(count, current_.size - offset_);
}

}  // namespace holdfast::agent::worker::unpack
