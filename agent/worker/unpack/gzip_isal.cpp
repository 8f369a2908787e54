#include <fmt/format.h>
#include <isa-l/igzip_lib.h>

#include "agent/worker/unpack/gzip.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

class IsalMember final : public GzipMember {
 public:
  IsalMember() : state_(std::make_unique<inflate_state>()) { isal_inflate_init(state_.get()); }

  void begin() override {
    isal_inflate_reset(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }

  Result<Part> decode(std::span<const std::byte> in, std::span<std::byte> out) override {
    state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(in.data()));
    state_->avail_in = static_cast<std::uint32_t>(in.size());
    state_->next_out = reinterpret_cast<std::uint8_t*>(out.data());
    state_->avail_out = static_cast<std::uint32_t>(out.size());
    const int result = isal_inflate(state_.get());
    if (result != ISAL_DECOMP_OK && result != ISAL_END_INPUT) return corrupt(result);
    return Part{{in.size() - state_->avail_in, out.size() - state_->avail_out},
                state_->block_state == ISAL_BLOCK_FINISH};
  }

 private:
  static Error corrupt(int result) {
    if (result == ISAL_INVALID_WRAPPER || result == ISAL_UNSUPPORTED_METHOD)
      return Error{Errc::layer_corrupt, kNotGzip};
    if (result == ISAL_INCORRECT_CHECKSUM) return Error{Errc::layer_corrupt, kWrongSum};
    return Error{Errc::layer_corrupt, fmt::format("the gzip stream is damaged (isa-l {})", result)};
  }

  std::unique_ptr<inflate_state> state_;
};

}  // namespace

std::unique_ptr<GzipMember> make_isal_member() { return std::make_unique<IsalMember>(); }

}  // namespace holdfast::agent::worker::unpack
