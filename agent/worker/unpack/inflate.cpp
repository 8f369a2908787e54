#include "agent/worker/unpack/inflate.hpp"

#include <fmt/format.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>

#include "agent/worker/unpack/gzip.hpp"

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
      return make_gzip(best_gzip());
    case proto::oci::Compression::zstd:
      return std::make_unique<Zstd>();
    case proto::oci::Compression::none:
      break;
  }
  return std::make_unique<Plain>();
}

}  // namespace holdfast::agent::worker::unpack
