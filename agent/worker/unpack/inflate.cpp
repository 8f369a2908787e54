#include "agent/worker/unpack/inflate.hpp"

#include <fmt/format.h>
#include <isa-l/igzip_lib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>

namespace holdfast::agent::worker::unpack {
namespace {

class Plain final : public Inflater {
 public:
  Result<Step> step(std::span<const std::byte> in, std::span<std::byte> out) override {
    const std::size_t part = std::min(in.size(), out.size());
    if (part > 0) std::memcpy(out.data(), in.data(), part);
    return Step{part, part};
  }
  Status finish() override { return ok(); }
};

class Gzip final : public Inflater {
 public:
  Gzip() : state_(std::make_unique<inflate_state>()) { isal_inflate_init(state_.get()); }

  Result<Step> step(std::span<const std::byte> in, std::span<std::byte> out) override {
    if (!in_member_ && !in.empty()) {
      if (padded_ || (members_ > 0 && in[0] == std::byte{0})) return padding(in);
      constexpr std::byte kMagic{0x1F};
      if (members_ > 0 && in[0] != kMagic)
        return Error{Errc::layer_corrupt, "data follows the gzip stream"};
      isal_inflate_reset(state_.get());
      state_->crc_flag = ISAL_GZIP;
      in_member_ = true;
    }
    state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(in.data()));
    state_->avail_in = static_cast<std::uint32_t>(in.size());
    state_->next_out = reinterpret_cast<std::uint8_t*>(out.data());
    state_->avail_out = static_cast<std::uint32_t>(out.size());
    const int result = in_member_ ? isal_inflate(state_.get()) : ISAL_DECOMP_OK;
    if (result != ISAL_DECOMP_OK && result != ISAL_END_INPUT) return corrupt(result);
    if (in_member_ && state_->block_state == ISAL_BLOCK_FINISH) {
      in_member_ = false;
      ++members_;
    }
    return Step{in.size() - state_->avail_in, out.size() - state_->avail_out};
  }

  Status finish() override {
    if (in_member_ || members_ == 0)
      return Error{Errc::layer_corrupt, "the gzip stream is cut off"};
    return ok();
  }

 private:
  Error corrupt(int result) const {
    if (members_ == 0 && (result == ISAL_INVALID_WRAPPER || result == ISAL_UNSUPPORTED_METHOD))
      return Error{Errc::layer_corrupt, "the layer is declared as gzip but is not gzip data"};
    if (result == ISAL_INCORRECT_CHECKSUM)
      return Error{Errc::layer_corrupt, "the gzip checksum is wrong"};
    return Error{Errc::layer_corrupt, fmt::format("the gzip stream is damaged (isa-l {})", result)};
  }
  /// Zeros after the last member are padding, as gzip(1) has it; anything else is not.
  Result<Step> padding(std::span<const std::byte> in) {
    padded_ = true;
    const bool zeros =
        std::all_of(in.begin(), in.end(), [](std::byte b) { return b == std::byte{0}; });
    if (!zeros) return Error{Errc::layer_corrupt, "data follows the gzip stream"};
    return Step{in.size(), 0};
  }

  std::unique_ptr<inflate_state> state_;
  std::size_t members_ = 0;
  bool in_member_ = false;
  bool padded_ = false;
};

class Zstd final : public Inflater {
 public:
  Zstd() : context_(ZSTD_createDCtx()) {
    constexpr int kWindowLog = 27;  // 128 MiB, explicitly: packaging/doc/security.md 2.2
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kWindowLog);
  }

  Result<Step> step(std::span<const std::byte> in, std::span<std::byte> out) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t result = ZSTD_decompressStream(context_.get(), &output, &input);
    if (ZSTD_isError(result) != 0) return failure(result);
    any_ = any_ || input.pos > 0;
    if (input.pos > 0 || output.pos > 0) between_frames_ = result == 0;
    return Step{input.pos, output.pos};
  }

  Status finish() override {
    if (!any_ || !between_frames_) return Error{Errc::layer_corrupt, "the zstd stream is cut off"};
    return ok();
  }

 private:
  Error failure(std::size_t result) const {
    switch (ZSTD_getErrorCode(result)) {
      case ZSTD_error_frameParameter_windowTooLarge:
        return Error{Errc::layer_limit, "the zstd stream wants a window of more than 128 MiB"};
      case ZSTD_error_prefix_unknown:
        if (!any_)
          return Error{Errc::layer_corrupt, "the layer is declared as zstd but is not zstd data"};
        return Error{Errc::layer_corrupt, "data follows the zstd stream"};
      case ZSTD_error_memory_allocation:
        return Error{Errc::layer_limit, "not enough memory for the zstd window"};
      default:
        return Error{Errc::layer_corrupt,
                     fmt::format("the zstd stream is damaged ({})", ZSTD_getErrorName(result))};
    }
  }
  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;
  bool any_ = false;
  bool between_frames_ = false;
};

}  // namespace

std::unique_ptr<Inflater> make_inflater(proto::oci::Compression compression) {
  switch (compression) {
    case proto::oci::Compression::gzip:
      return std::make_unique<Gzip>();
    case proto::oci::Compression::zstd:
      return std::make_unique<Zstd>();
    case proto::oci::Compression::none:
      break;
  }
  return std::make_unique<Plain>();
}

}  // namespace holdfast::agent::worker::unpack
