#pragma once
#include <memory>

#include "agent/worker/unpack/inflate.hpp"

namespace holdfast::agent::worker::unpack {

enum class GzipBy : std::uint8_t {
  isal,  ///< several times as fast; needs `os::has_carryless_multiply`
  zlib,  ///< everywhere
};
[[nodiscard]] GzipBy best_gzip();

/// gzip, any number of members, zeros after the last; the same answers by both.
[[nodiscard]] std::unique_ptr<Inflater> make_gzip(GzipBy by);

/// One member at a time.
class GzipMember {
 public:
  struct Part {
    Step step;
    bool ended = false;  ///< its checksum and length were right
  };
  virtual ~GzipMember() = default;
  virtual void begin() = 0;
  /// Errors: layer_corrupt.
  [[nodiscard]] virtual Result<Part> decode(std::span<const std::byte> in,
                                            std::span<std::byte> out) = 0;
};

[[nodiscard]] std::unique_ptr<GzipMember> make_zlib_member();
#ifdef HOLDFAST_ISAL
[[nodiscard]] std::unique_ptr<GzipMember> make_isal_member();
#endif

inline constexpr const char* kNotGzip = "the layer is declared as gzip but is not gzip data";
inline constexpr const char* kWrongSum = "the gzip checksum is wrong";

}  // namespace holdfast::agent::worker::unpack
