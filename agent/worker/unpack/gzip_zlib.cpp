#include <fmt/format.h>
#include <zlib.h>

#include <new>
#include <string_view>

#include "agent/worker/unpack/gzip.hpp"

namespace holdfast::agent::worker::unpack {
namespace {

class ZlibMember final : public GzipMember {
 public:
  ZlibMember() {
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) throw std::bad_alloc{};
  }
  ~ZlibMember() override { inflateEnd(&stream_); }
  ZlibMember(const ZlibMember&) = delete;
  ZlibMember& operator=(const ZlibMember&) = delete;

  void begin() override { inflateReset(&stream_); }

  Result<Part> decode(std::span<const std::byte> in, std::span<std::byte> out) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = static_cast<uInt>(in.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return corrupt(result);
    return Part{{in.size() - stream_.avail_in, out.size() - stream_.avail_out},
                result == Z_STREAM_END};
  }

 private:
  [[nodiscard]] Error corrupt(int result) const {
    const std::string_view said = stream_.msg == nullptr ? "" : stream_.msg;
    if (said == "incorrect header check" || said == "unknown compression method")
      return Error{Errc::layer_corrupt, kNotGzip};
    if (said == "incorrect data check" || said == "incorrect length check")
      return Error{Errc::layer_corrupt, kWrongSum};
    return Error{Errc::layer_corrupt, fmt::format("the gzip stream is damaged (zlib {})", result)};
  }

  z_stream stream_{};
};

}  // namespace

std::unique_ptr<GzipMember> make_zlib_member() { return std::make_unique<ZlibMember>(); }

}  // namespace holdfast::agent::worker::unpack
