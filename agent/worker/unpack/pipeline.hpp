#pragma once
/// \file
/// The two halves of unpacking, on two threads: receive → hash → inflate here, hash → untar → write
/// at the other end.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "agent/worker/unpack/byte_source.hpp"
#include "agent/worker/unpack/inflate.hpp"
#include "common/crypto/sha256.hpp"

namespace holdfast::agent::worker::unpack {

struct StreamLimits {
  std::uint64_t compressed = 0;    ///< exact size of the input
  std::uint64_t uncompressed = 0;  ///< most bytes that may come out
  std::uint64_t space = 0;         ///< most bytes that there is room for
};

/// The inflated stream of a layer, made ahead by a thread of its own. `peek`/`consume` belong to
/// one reader thread; the sums are complete once `peek` returned an empty span.
class InflatedStream final : public ByteSource {
 public:
  InflatedStream(int input_fd, proto::oci::Compression compression, const StreamLimits& limits);
  ~InflatedStream() override;

  [[nodiscard]] Result<std::span<const std::byte>> peek() override;
  void consume(std::size_t count) override;

  [[nodiscard]] std::string compressed_sha256() const { return compressed_sha256_; }
  [[nodiscard]] std::uint64_t compressed_bytes() const { return compressed_bytes_; }
  [[nodiscard]] std::string diff_id_hex() { return diff_hash_.finish_hex(); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  struct Chunk {
    std::vector<std::byte> data;
    std::size_t size = 0;
  };
  void run();
  Status produce();
  Status inflate_all(std::span<const std::byte> in);
  std::optional<Chunk> free_chunk();
  Status emit();

  int input_fd_;
  StreamLimits limits_;
  std::unique_ptr<Inflater> inflater_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Chunk> full_;
  std::deque<Chunk> free_;
  std::size_t chunks_ = 0;  ///< made so far
  bool done_ = false;
  bool abandoned_ = false;
  std::optional<Error> error_;

  // Producer only, until done_.
  crypto::Sha256 compressed_hash_;
  std::string compressed_sha256_;
  std::uint64_t compressed_bytes_ = 0;
  std::uint64_t produced_ = 0;
  Chunk filling_;

  // Consumer only.
  crypto::Sha256 diff_hash_;
  Chunk current_;
  std::size_t offset_ = 0;
  std::uint64_t bytes_ = 0;

  std::thread thread_;
};

}  // namespace holdfast::agent::worker::unpack
