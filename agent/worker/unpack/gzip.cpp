#include "agent/worker/unpack/gzip.hpp"

#include <algorithm>

#include "common/os/processor.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

class Gzip final : public Inflater {
 public:
  explicit Gzip(std::unique_ptr<GzipMember> member) : member_(std::move(member)) {}

  Result<Step> step(std::span<const std::byte> in, std::span<std::byte> out) override {
    if (!in_member_ && !in.empty()) {
      if (padded_ || (members_ > 0 && in[0] == std::byte{0})) return padding(in);
      constexpr std::byte kMagic{0x1F};
      if (members_ > 0 && in[0] != kMagic)
        return Error{Errc::layer_corrupt, "data follows the gzip stream"};
      if (in[0] != kMagic) return Error{Errc::layer_corrupt, kNotGzip};
      member_->begin();
      in_member_ = true;
    }
    if (!in_member_) return Step{};
    HF_ASSIGN(const auto part, member_->decode(in, out));
    if (part.ended) {
      in_member_ = false;
      ++members_;
    }
    return part.step;
  }

  Status finish() override {
    if (in_member_ || members_ == 0)
      return Error{Errc::layer_corrupt, "the gzip stream is cut off"};
    return ok();
  }

 private:
  /// Zeros after the last member are padding, as gzip(1) has it; anything else is not.
  Result<Step> padding(std::span<const std::byte> in) {
    padded_ = true;
    const bool zeros =
        std::all_of(in.begin(), in.end(), [](std::byte b) { return b == std::byte{0}; });
    if (!zeros) return Error{Errc::layer_corrupt, "data follows the gzip stream"};
    return Step{in.size(), 0};
  }

  std::unique_ptr<GzipMember> member_;
  std::size_t members_ = 0;
  bool in_member_ = false;
  bool padded_ = false;
};

}  // namespace

GzipBy best_gzip() {
#ifdef HOLDFAST_ISAL
  if (os::has_carryless_multiply()) return GzipBy::isal;
#endif
  return GzipBy::zlib;
}

std::unique_ptr<Inflater> make_gzip([[maybe_unused]] GzipBy by) {
#ifdef HOLDFAST_ISAL
  if (by == GzipBy::isal) return std::make_unique<Gzip>(make_isal_member());
#endif
  return std::make_unique<Gzip>(make_zlib_member());
}

}  // namespace holdfast::agent::worker::unpack
